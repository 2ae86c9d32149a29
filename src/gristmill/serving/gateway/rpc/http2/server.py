"""Listens, and finds the handler of a method: as much of grpc.aio.Server as generated code asks for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import grpc

from gristmill.serving.gateway.rpc.http2.connection import Connection


class _Details(NamedTuple):
    """grpc.HandlerCallDetails."""

    method: str
    invocation_metadata: tuple[()] = ()


class Server:
    def __init__(self, *, max_message_bytes: int, client_timeout_s: float, idle_s: float) -> None:
        self.draining = False
        self.max_message_bytes = max_message_bytes
        self.connections: set[Connection] = set()
        self._client_timeout_s = client_timeout_s
        self._idle_s = idle_s
        self._registered: dict[str, Any] = {}
        self._generic: list[grpc.GenericRpcHandler] = []
        self._listener: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._generic.extend(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self._registered |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def handler(self, path: str) -> Any:
        """Of a method; the last generic handler has one for every path."""
        found = self._registered.get(path)
        if found is not None:
            return found
        return next(handler for generic in self._generic if (handler := generic.service(_Details(path))) is not None)

    async def start(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self), sock=listener)
        self._watch = asyncio.create_task(self._close_late_clients())

    async def stop(self, grace_s: float) -> None:
        """Open no more calls; those that are open have `grace_s` to be answered."""
        assert self._listener is not None
        assert self._watch is not None
        self._listener.close()
        self.draining = True
        for connection in self.connections:
            connection.go_away()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                for connection in list(self.connections):
                    await connection.quiet()
        self._watch.cancel()
        for connection in list(self.connections):
            connection.close()

    async def _close_late_clients(self) -> None:
        """Look over all connections, every so often: no timer a request."""
        pause_s = min(0.5, self._client_timeout_s / 4)
        while True:
            await asyncio.sleep(pause_s)
            now = asyncio.get_running_loop().time()
            for connection in list(self.connections):
                connection.close_if_late(now, self._client_timeout_s - 2 * pause_s, self._idle_s)
