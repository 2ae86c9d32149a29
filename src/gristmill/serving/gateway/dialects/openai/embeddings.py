"""`POST /v1/embeddings`."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from gristmill.core.errors import Malformed
from gristmill.core.routes import RouteVersion
from gristmill.serving.gateway.dialects.openai.answering import target
from gristmill.serving.gateway.dialects.openai.parameters import read
from gristmill.serving.gateway.fit import Given
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, Reply, Result
from gristmill.serving.wire.dtypes import BYTES
from gristmill.serving.wire.tensors import encode_strings
from gristmill.tasks.text_embedding import EMBEDDING, TEXT, TOKENS, TextEmbedding

_MOST_TEXTS = 2048  # OpenAI's


class Embedding(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    truncate_prompt_tokens: Literal[-1] | None = None  # vLLM's: cut what is longer than the model reads
    user: str | None = None


async def embeddings(request: Request) -> Answer:
    asked = read(await request.body(), Embedding)
    share = target(request, asked.model).share
    signature = share.pool.signature
    if signature.task != TextEmbedding.name:
        raise Malformed(f"{asked.model!r} is no model of embeddings.", field="model")
    widest = signature.outputs[0].shape[1]
    if asked.dimensions is not None and asked.dimensions > widest:
        raise Malformed(f"This model's embeddings have {widest} dimensions.", field="dimensions")
    texts = [text.encode() for text in _texts(asked.input)]
    job, rows = share.fit.job({TEXT: Given(BYTES, (len(texts),), encode_strings(texts), True)})

    def render(version: RouteVersion, result: Result) -> Reply:
        assert not isinstance(result, bytes)
        found = {output.name: output.values for output in result}
        if asked.truncate_prompt_tokens is None:
            _check_lengths(asked.input, found[TOKENS], version.signature.longest)
        vectors = _shortened(found[EMBEDDING], asked.dimensions)
        data = [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, asked.encoding_format)}
            for index, vector in enumerate(vectors)
        ]
        read_tokens = int(found[TOKENS].sum())
        usage = {"prompt_tokens": read_tokens, "total_tokens": read_tokens}
        return Reply(msgspec.json.encode({"object": "list", "model": asked.model, "data": data, "usage": usage}))

    return await request.call(share, job, rows, render)


def _texts(given: str | list[Any]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not 1 <= len(texts) <= _MOST_TEXTS:
        raise Malformed(f"input should be 1 to {_MOST_TEXTS} texts.", field="input")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise Malformed("Send texts: token ids are another model's, which this one does not know.",
                            field=f"input[{place}]", reason="invalid_type")  # fmt: skip
        if not text:
            raise Malformed("A text is empty.", field=f"input[{place}]", reason="empty_string")
    return texts


def _check_lengths(given: str | list[Any], read_tokens: np.ndarray, longest: int | None) -> None:
    """A text of as many tokens as the model reads may have been cut. Raises Malformed, as OpenAI does."""
    if longest is None or (read_tokens < longest).all():
        return
    field = "input" if isinstance(given, str) else f"input[{int((read_tokens >= longest).argmax())}]"
    raise Malformed(
        f"The text has more than the {longest - 1} tokens that this model takes: split it, or have it cut by "
        "truncate_prompt_tokens of -1.", field=field, reason="context_length_exceeded",
    )  # fmt: skip


def _shortened(vectors: np.ndarray, dimensions: int | None) -> np.ndarray:
    """The first dimensions at length one (Kusupati et al., NeurIPS 2022, "Matryoshka Representation Learning")."""
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    cut = vectors[:, :dimensions]
    shortened: np.ndarray = cut / np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), 1e-12)
    return shortened


def _encoded(vector: np.ndarray, form: str | None) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()
    values: list[float] = vector.tolist()
    return values
