"""HTTP connections that wait for a client only so long, and tell when it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

LEFT = "gristmill.left"  # in the scope: what to call when the client goes before its answer
RESPOND = "gristmill.respond"  # in the scope: takes (status, head, body) in place of two ASGI messages
_BYTES_A_SECOND = 64 * 1024  # a client that sends this fast may take longer than the timeout
_MOST_HEADER_BYTES = 64 * 1024
_TIMEOUT = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b"
)
_SAYS = b'{"error":"The request did not arrive in time."}'


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's timeouts cover the pause between two requests only; this one notes since when a request is awaited."""

    awaited_since: float | None = None  # of the loop's clock; None: the request is whole
    idle_since: float | None = None  # answered, and the next request has not begun
    received = 0  # bytes of the request that is awaited

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.awaited_since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            left: Any = cycle.scope.get(LEFT)
            if left is not None:
                left()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        super().data_received(data)
        if self.received > _MOST_HEADER_BYTES and self._in_headers():
            self.transport.close()

    def _in_headers(self) -> bool:
        return self.awaited_since is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.awaited_since = self.loop.time()
        self.idle_since = None
        self.received = 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope[RESPOND] = partial(
            self._respond, self.cycle
        )  # its own: with pipelining a later one may be parsed by then

    def _respond(self, cycle: RequestResponseCycle, status: int, head: bytes, body: bytes) -> None:
        """One write a response: ASGI's two messages cost two system calls, and a look at each header."""
        if cycle.disconnected or cycle.response_started:
            return
        cycle.response_started = cycle.response_complete = True
        end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[status], head, end, body)))
        scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
        del scope[RESPOND]  # it holds the cycle, which holds the scope: a ring for the collector to find
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def on_message_complete(self) -> None:
        self.awaited_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, without its timer a request: the look over all connections closes idle ones too."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self.idle_since = self.loop.time()

    def close_if_late(self, now: float, timeout_s: float) -> None:
        """Close when idle for long, or when the awaited request came neither whole in time nor at a fair rate."""
        if self.idle_since is not None and now - self.idle_since > self.timeout_keep_alive:
            self.transport.close()
        if self.awaited_since is None or now - self.awaited_since - self.received / _BYTES_A_SECOND < timeout_s:
            return
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.response_started:
            self.transport.write(_TIMEOUT % (len(_SAYS), _SAYS))
        self.transport.close()


async def close_late_clients(connections: Iterable[object], timeout_s: float) -> None:
    """Look over all connections, every so often, for ever: no timer a request."""
    loop = asyncio.get_running_loop()
    pause_s = min(0.5, timeout_s / 4)
    while True:
        await asyncio.sleep(pause_s)
        now = loop.time()
        for connection in list(connections):
            if isinstance(connection, PatientProtocol):
                connection.close_if_late(now, timeout_s - 2 * pause_s)
