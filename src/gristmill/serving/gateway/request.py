"""One HTTP request as a dialect sees it: the caller, the path, the headers, the body."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from typing import Any

from gristmill.core.errors import Malformed, NotFound, UnsupportedMediaType
from gristmill.core.generation import Delta
from gristmill.core.routes import RouteKey
from gristmill.serving.gateway import body as bodies
from gristmill.serving.gateway.body import Receive
from gristmill.serving.gateway.call import Call
from gristmill.serving.gateway.generation.stream import Stream
from gristmill.serving.gateway.protocol import LEFT
from gristmill.serving.gateway.routing import Share
from gristmill.serving.gateway.serving import Serving
from gristmill.serving.gateway.work import Answer, Job, Render


class Request(Call):
    __slots__ = ("_body", "_receive", "_scope", "headers", "method", "path")

    def __init__(
        self,
        serving: Serving,
        key: RouteKey,
        scope: Any,
        headers: dict[bytes, bytes],
        receive: Receive,
        record_id: str,
    ) -> None:
        super().__init__(serving, key, record_id)
        self._scope = scope
        self._receive = receive
        self._body: bytes | None = None
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = headers

    @property
    def query(self) -> str:
        """What stands behind the path's question mark, still escaped."""
        told: bytes = self._scope["query_string"]
        return told.decode("latin-1")

    def nothing_here(self, instead: str = "") -> NotFound:
        """No dialect has such a method at such a path; `instead`: what to do."""
        return NotFound(f"There is no {self.method} {self.path[:200]} here{instead}.", reason="unknown_url")

    async def body(self) -> bytes:
        """Inflated; read once. Raises TooLarge, Malformed (compression), ClientLeft."""
        if self._body is None:
            self._body = await bodies.read(self._receive, self.headers, self._serving.spec.max_body_bytes)
            self.size = len(self._body)
        return self._body

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

    async def call(self, share: Share, job: Job, rows: int, render: Render, timeout_s: float | None = None) -> Answer:
        """As `Call.call`; the header `x-request-timeout-ms` comes before `timeout_s`."""
        header = self.headers.get(b"x-request-timeout-ms")
        if header is not None:
            timeout_s = _milliseconds(header)
        work = self._work(job, rows, render)
        self._scope[LEFT] = work.leave
        return await self._serving.call(share, work, timeout_s)

    def generate(self, share: Share, stream: Stream, timeout_s: float | None = None) -> AsyncGenerator[list[Delta]]:
        """As `Call.generate`; the header `x-request-timeout-ms` comes before `timeout_s`."""
        header = self.headers.get(b"x-request-timeout-ms")
        if header is not None:
            timeout_s = _milliseconds(header)
        before = self._scope.get(LEFT)

        def leave() -> None:
            stream.leave()
            if before is not None:
                before()

        self._scope[LEFT] = leave
        return super().generate(share, stream, timeout_s)


def _milliseconds(header: bytes) -> float:
    try:
        value = float(header)
    except ValueError:
        value = math.nan
    if not value > 0 or math.isinf(value):
        raise Malformed("x-request-timeout-ms must be a positive number of milliseconds.", field="x-request-timeout-ms")
    return value / 1e3
