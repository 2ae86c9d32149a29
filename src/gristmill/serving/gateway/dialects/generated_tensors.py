"""`POST /v2/models/{m}/infer` of a language model: `prompt` BYTES [N] in, `text` BYTES [N] out.

Its parameters are those of OpenAI's completions, by the same names.
"""

from __future__ import annotations

import msgspec
import numpy as np

from gristmill.core.errors import Malformed, Unprocessable
from gristmill.core.generation import Delta
from gristmill.serving.gateway.dialects.descriptions import TEXT
from gristmill.serving.gateway.dialects.infer_reply import InferReply
from gristmill.serving.gateway.dialects.infer_request import InferRequest, read_infer_request
from gristmill.serving.gateway.dialects.openai.answering import Generations, Target
from gristmill.serving.gateway.dialects.openai.completions import MOST_PROMPTS, generation
from gristmill.serving.gateway.dialects.openai.parameters import Completion, read
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, OutputRows
from gristmill.serving.wire.tensors import decode_strings

_PROTOCOLS_OWN = frozenset(
    ("binary_data_output", "timeout", "priority", "sequence_id", "sequence_start", "sequence_end")
)
_ONE_EACH = ("n", "best_of", "stream", "logprobs", "prompt", "model")


async def generated_tensors(request: Request, at: Target) -> Answer:
    """Raises Malformed and Unprocessable naming the field; the error of the first prompt that failed."""
    inferred = read_infer_request(await request.body(), request.headers, at.share.fit)
    at.share.fit.job(inferred.given)
    (tensor,) = inferred.given.values()
    prompts = [_text(prompt) for prompt in decode_strings(tensor.data)]
    if len(prompts) > MOST_PROMPTS:
        raise Unprocessable(f"Input 'prompt' holds {len(prompts)} texts: a request takes up to {MOST_PROMPTS}.",
                            field="prompt")  # fmt: skip
    asked = _completion(inferred, at.model)
    generations = Generations(request, at, [generation(asked, at, prompt) for prompt in prompts])
    texts = [""] * len(prompts)

    def take(place: int, delta: Delta) -> None:
        texts[place] += delta.text

    await generations.whole(take, inferred.timeout_s)
    values = np.empty(len(texts), object)
    values[:] = [text.encode() for text in texts]
    reply = InferReply(at.model, inferred.id, inferred.outputs, inferred.binary)
    version = at.share.pool.version
    return Answer(reply.render(version, (OutputRows(TEXT.name, TEXT.dtype, values),)), version.model)


def _completion(inferred: InferRequest, model: str) -> Completion:
    parameters = {name: value for name, value in inferred.parameters.items() if name not in _PROTOCOLS_OWN}
    for name in _ONE_EACH:
        if name in parameters:
            raise Malformed(f"Parameter {name!r} has no place in tensors, which are one text a prompt: call the model "
                            "at /v1/completions.", field=name)  # fmt: skip
    return read(msgspec.json.encode({**parameters, "model": model, "prompt": ""}), Completion)


def _text(prompt: bytes) -> str:
    try:
        text = prompt.decode()
    except UnicodeDecodeError as error:
        raise Unprocessable(f"Input 'prompt' is no UTF-8 at its byte {error.start}.", field="prompt") from None
    if not text:
        raise Unprocessable("Input 'prompt' holds an empty text: a prompt has at least one character.", field="prompt")
    return text
