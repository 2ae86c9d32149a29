"""One HTTP request as a dialect sees it: the caller, the path, the body, and the way to the models."""

from __future__ import annotations

import math
from time import monotonic
from typing import Any

from gristmill.core.errors import Malformed, UnsupportedMediaType
from gristmill.core.routes import RouteKey
from gristmill.serving.gateway import body as bodies
from gristmill.serving.gateway.body import Receive
from gristmill.serving.gateway.protocol import LEFT
from gristmill.serving.gateway.routing import Route, Share
from gristmill.serving.gateway.serving import Serving
from gristmill.serving.gateway.work import Answer, Job, Render, Work


class Request:
    __slots__ = (
        "_receive",
        "_scope",
        "_serving",
        "arrived_at",
        "headers",
        "key",
        "method",
        "path",
        "record_id",
        "size",
    )

    def __init__(
        self,
        serving: Serving,
        key: RouteKey,
        scope: Any,
        headers: dict[bytes, bytes],
        receive: Receive,
        record_id: str,
    ) -> None:
        self._serving = serving
        self._scope = scope
        self._receive = receive
        self.arrived_at = monotonic()
        self.key = key
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = headers
        self.record_id = record_id
        self.size = 0

    async def body(self) -> bytes:
        """Raises TooLarge, Malformed (compression), ClientLeft."""
        data = await bodies.read(self._receive, self.headers, self._serving.spec.max_body_bytes)
        self.size = len(data)
        return data

    def content_type(self, readable: frozenset[str]) -> str | None:
        """The media type without parameters, None when not said. Raises UnsupportedMediaType unless `readable`."""
        raw = self.headers.get(b"content-type")
        if raw is None:
            return None
        media = raw.decode("latin-1").partition(";")[0].strip().lower()
        if media and media not in readable and f"{media.partition('/')[0]}/*" not in readable:
            raise UnsupportedMediaType(
                f"Content-Type {media!r} cannot be read here: send {', '.join(sorted(readable))}.", got=media
            )
        return media or None

    def route(self, name: str) -> Route:
        return self._serving.routes.find(self.key, name)

    def routes(self) -> list[Route]:
        return self._serving.routes.visible(self.key)

    async def call(self, share: Share, job: Job, rows: int, render: Render, timeout_s: float | None = None) -> Answer:
        """Have `job` computed. The deadline is `x-request-timeout-ms`, else `timeout_s`, else the endpoint's."""
        header = self.headers.get(b"x-request-timeout-ms")
        if header is not None:
            timeout_s = _milliseconds(header)
        future = self._serving.loop.create_future()
        work = Work(job, rows, self.key, render, self.record_id, self.size, self.arrived_at, future)
        self._scope[LEFT] = work.leave
        return await self._serving.call(share, work, timeout_s)


def _milliseconds(header: bytes) -> float:
    try:
        value = float(header)
    except ValueError:
        value = math.nan
    if not value > 0 or math.isinf(value):
        raise Malformed("x-request-timeout-ms must be a positive number of milliseconds.", field="x-request-timeout-ms")
    return value / 1e3
