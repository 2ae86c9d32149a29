"""`POST /v1/tokenize`: the ids of a text or of a rendered chat, as the model itself would read them."""

from __future__ import annotations

from msgspec import UNSET

from gristmill.core.errors import Malformed
from gristmill.core.generation import GenerationRequest
from gristmill.serving.gateway.dialects.openai.answering import target
from gristmill.serving.gateway.dialects.openai.messages import rendered
from gristmill.serving.gateway.dialects.openai.parameters import Tokens, read
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, Reply


async def tokenize(request: Request) -> Answer:
    asked = read(await request.body(), Tokens)
    if (asked.prompt is UNSET) == (asked.messages is UNSET):
        raise Malformed("Send either a prompt or messages.", field="prompt")
    at = target(request, asked.model)
    if asked.messages is not UNSET:
        wanted = GenerationRequest(messages=rendered(asked.messages))
    else:
        assert asked.prompt is not UNSET
        wanted = GenerationRequest(prompt=asked.prompt)
    return Answer(Reply(await request.tokenize(at.share, wanted)), at.share.pool.version.model)
