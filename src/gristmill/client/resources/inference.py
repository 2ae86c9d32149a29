"""Calling endpoints: predictions in the task's own terms, raw tensors, explanations."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gristmill.client import tensors
from gristmill.client.calls import Call, Document, Plane, Steps
from gristmill.client.operation import D, Resource, events, operation

_PLANE: Plane = "inference"
_SIGNATURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)


class Inference(Resource[D]):
    @operation
    def predict(self, endpoint: str, input: Any, *, parameters: Document | None = None) -> Steps[Any]:
        """The endpoint's answer in the task's own terms.

        `input`: a Path or bytes (an image), text, rows of numbers, an array; or a document with `inputs`.
        """
        payload = input.read_bytes() if isinstance(input, Path) else input
        path = f"/models/{endpoint}"
        if isinstance(payload, bytes) and not parameters:
            headers = {"content-type": _media_type(payload)}
            reply = yield Call("POST", path, _PLANE, content=payload, headers=headers)
        else:
            reply = yield Call("POST", path, _PLANE, json=_document(payload, parameters or {}))
        return reply.json()

    @operation
    def infer(self, endpoint: str, inputs: Mapping[str, Any]) -> Steps[Document]:
        """Tensors in, tensors out: {"model": NAME@VERSION, "id", "outputs": {name: nested lists}}.

        Arrays (anything with the buffer protocol and a dtype) travel as binary; lists take the model's own dtype.
        """
        described: Document = {}
        if tensors.needs_description(inputs):
            described = (yield Call("GET", f"/v2/models/{endpoint}", _PLANE)).document()
        body, headers = tensors.encode(inputs, described)
        reply = yield Call("POST", f"/v2/models/{endpoint}/infer", _PLANE, content=body, headers=headers)
        return {
            "model": reply.headers.get("x-gristmill-model"),
            "id": reply.headers.get("x-request-id"),
            "outputs": tensors.decode(reply.document()),
        }

    @operation
    def explain(
        self,
        endpoint: str,
        input: Any,
        *,
        method: str | None = None,
        target: int | None = None,
        render: str | None = None,
        steps: int | None = None,
        answer: str | None = None,
        max_new_tokens: int | None = None,
        options: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> Steps[Document]:
        """{"explanations": [...]}, one a row; `input` as for `predict`, `render` "png" or "html" adds a picture.

        `options` are the method's own, such as `window` or `permutations`. Of a language model `input` is a prompt or
        messages; it writes `max_new_tokens` itself without an `answer`.
        """
        payload = input.read_bytes() if isinstance(input, Path) else input
        wanted = {"method": method, "target": target, "render": render, "steps": steps,
                  "answer": answer, "max_new_tokens": max_new_tokens}  # fmt: skip
        parameters = {**(options or {}), **{key: value for key, value in wanted.items() if value is not None}}
        headers = {} if timeout_s is None else {"x-request-timeout-ms": f"{timeout_s * 1e3:.0f}"}
        reply = yield Call("POST", f"/v2/models/{endpoint}/explain", _PLANE, json=_document(payload, parameters),
                           headers=headers, timeout_s=(timeout_s or 600.0) + 10.0)  # fmt: skip
        return reply.document()

    @events
    def chat(self, /, endpoint: str, messages: Sequence[Mapping[str, Any]], **parameters: Any) -> Call:
        """A language model's answer as OpenAI's chunks, as it comes; `parameters` as its chat completions take them."""
        body = {"model": endpoint, "messages": list(messages), "stream": True, **parameters}
        return Call("POST", "/v1/chat/completions", _PLANE, json=body, timeout_s=600.0)


def _document(payload: Any, parameters: Document) -> Document:
    """`{"inputs": ..., "parameters": ...}`; bytes travel as base64, as Hugging Face's clients send them."""
    if isinstance(payload, Mapping) and "inputs" in payload:
        given = dict(payload)
        return given | {"parameters": {**given.get("parameters", {}), **parameters}}
    inputs = base64.b64encode(payload).decode() if isinstance(payload, bytes) else tensors.plain(payload)
    return {"inputs": inputs, "parameters": parameters}


def _media_type(data: bytes) -> str:
    if data[8:12] == b"WEBP":
        return "image/webp"
    return next((name for start, name in _SIGNATURES if data.startswith(start)), "application/octet-stream")
