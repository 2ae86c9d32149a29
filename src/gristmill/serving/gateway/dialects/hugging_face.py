"""Hugging Face tasks: `POST /models/{m}` with `{"inputs": ..., "parameters": ...}` or the raw bytes of an input."""

from __future__ import annotations

import msgspec

from gristmill.core.errors import GristmillError
from gristmill.core.routes import RouteVersion
from gristmill.serving.gateway.dialects.generated_text import error_body, generated_text
from gristmill.serving.gateway.dialects.openai.answering import Target
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, PayloadJob, Reply, Result, StreamedAnswer

_READABLE = frozenset(("application/json", "application/octet-stream", "text/plain", "image/*", "audio/*"))


class HuggingFace:
    segments = ("models",)

    async def answer(self, request: Request) -> Answer | StreamedAnswer:
        name = request.path.removeprefix("/models/")
        endpoint, _, adapter = name.partition(":")
        route = request.route(endpoint)
        if request.method in ("GET", "HEAD"):
            share = route.pick(adapter=adapter or None)
            document = {"id": name, "pipeline_tag": route.endpoint.task, "ready": share.pool.ready}
            return Answer(Reply(msgspec.json.encode(document)), share.pool.version.model)
        if request.method != "POST":
            raise request.nothing_here(": POST the inputs")
        content_type = request.content_type(_READABLE)
        share = route.pick(adapter=adapter or None)
        facts = share.pool.signature.language
        if facts is not None:
            return await generated_text(request, Target(name, share, adapter or None, facts))
        job = PayloadJob(await request.body(), content_type)
        return await request.call(share, job, 1, _render)

    def error(self, error: GristmillError, path: str) -> bytes:
        return error_body(error)


def _render(version: RouteVersion, result: Result) -> Reply:
    assert isinstance(result, bytes)
    return Reply(result)
