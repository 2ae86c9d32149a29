"""Hugging Face tasks: `POST /models/{m}` with `{"inputs": ..., "parameters": ...}` or the raw bytes of an input."""

from __future__ import annotations

import msgspec

from gristmill.core.errors import GristmillError, NotFound
from gristmill.core.routes import RouteVersion
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, PayloadJob, Reply, Result

_READABLE = frozenset(("application/json", "application/octet-stream", "text/plain", "image/*", "audio/*"))


class HuggingFace:
    segments = ("models",)

    async def answer(self, request: Request) -> Answer:
        name = request.path.removeprefix("/models/")
        route = request.route(name)
        if request.method in ("GET", "HEAD"):
            share = route.pick()
            document = {"id": name, "pipeline_tag": route.endpoint.task, "ready": share.pool.ready}
            return Answer(Reply(msgspec.json.encode(document)), share.pool.version.model)
        if request.method != "POST":
            raise NotFound(f"There is no {request.method} at this path: POST the inputs.")
        content_type = request.content_type(_READABLE)
        share = route.pick()
        job = PayloadJob(await request.body(), content_type)
        return await request.call(share, job, 1, _render)

    def error(self, error: GristmillError) -> bytes:
        return msgspec.json.encode({"error": error.message, "error_type": error.code})


def _render(version: RouteVersion, result: Result) -> Reply:
    assert isinstance(result, bytes)
    return Reply(result)
