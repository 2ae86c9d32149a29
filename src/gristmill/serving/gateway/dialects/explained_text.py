"""`POST /v2/models/{m}/explain` of a language model: its answer, and what each token of it owes to the prompt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec

from gristmill.core.errors import Malformed
from gristmill.core.generation import Delta, GenerationRequest, Sampling
from gristmill.serving.gateway.dialects.openai.messages import Message, rendered
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.routing import Share

_MOST_TOKENS, _TOKENS = 512, 32


class _Asked(msgspec.Struct, frozen=True):
    """`inputs`: a prompt, or the messages of a chat."""

    inputs: str | list[Message]
    parameters: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Asked).decode


async def explained_text(request: Request, share: Share, adapter: str | None) -> bytes:
    """The explanations as a JSON list of one. Greedy, so that the answer is the one that the model itself gives."""
    asked = _read(await request.body())
    parameters = dict(asked.parameters or {})
    most = parameters.pop("max_new_tokens", _TOKENS)
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= _MOST_TOKENS:
        raise Malformed(f"`max_new_tokens` should be a whole number from 1 to {_MOST_TOKENS}, and is {most!r}.",
                        field="max_new_tokens", got=most)  # fmt: skip
    text = asked.inputs if isinstance(asked.inputs, str) else None
    messages = None if isinstance(asked.inputs, str) else rendered(asked.inputs)
    wanted = GenerationRequest(
        messages=messages, prompt=text, adapter=adapter, max_tokens=most, sampling=Sampling(temperature=0),
        explanation=parameters,
    )  # fmt: skip
    (stream,) = request.streams([wanted])
    stream.whole = True
    async with aclosing(request.generate(share, stream)) as pieces:
        return await _joined(pieces)


def _read(body: bytes) -> _Asked:
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        raise Malformed(f"The request is not one to explain text: {error}; send {{'inputs': 'a prompt'}} or a list of "
                        "messages.", field="inputs") from None  # fmt: skip
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise Malformed("The body is nested too deeply to be read.") from None


async def _joined(pieces: AsyncIterator[list[Delta]]) -> bytes:
    return "".join([delta.text async for deltas in pieces for delta in deltas]).encode()
