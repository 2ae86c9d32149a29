"""gRPC over HTTP/2 on the gateway's own event loop: a call costs a tenth of what it costs grpc.aio.

It takes the handlers that grpcio's generated code makes; of grpc.aio.Server it has what the gateway needs.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from gristmill.serving.gateway.listening import listening_socket
from gristmill.serving.gateway.rpc.http2.connection import Connection

_LOOK_EVERY_S = 0.5


class _Details(NamedTuple):
    """What a generic handler is asked with (grpc.HandlerCallDetails)."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ()


class Http2Server:
    """`admits`: whether a call's metadata holds a key; asked before much of a message is taken."""

    def __init__(
        self, *, message_limit: int, patience_s: float, idle_s: float, reuse_port: bool, admits: Callable[[Any], bool]
    ) -> None:
        self.message_limit = message_limit
        self.admits = admits
        self.connections: set[Connection] = set()
        self._patience_s = patience_s
        self._idle_s = idle_s
        self._reuse_port = reuse_port
        self._handlers: list[Any] = []
        self._socket: socket.socket | None = None

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """The last one answers for every method that the others do not know."""
        self._handlers.extend(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Generated code adds the same handlers as generic ones."""

    def handler(self, method: str) -> Any:
        details = _Details(method)
        return next(found for handler in self._handlers if (found := handler.service(details)) is not None)

    def add_insecure_port(self, address: str) -> int:
        """Raises RuntimeError where it is taken, as grpc.aio does."""
        host, _, port = address.rpartition(":")
        try:
            self._socket = listening_socket(host.strip("[]"), int(port), reuse_port=self._reuse_port)
        except OSError as error:
            raise RuntimeError(f"Failed to bind to address {address}") from error
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._socket is not None, "add_insecure_port comes before"
        self._server = await loop.create_server(lambda: Connection(self), sock=self._socket)
        self._looking = loop.create_task(self._look_for_ever())

    async def _look_for_ever(self) -> None:
        pause_s = min(_LOOK_EVERY_S, self._patience_s / 4)
        while True:
            await asyncio.sleep(pause_s)
            now = asyncio.get_running_loop().time()
            for connection in list(self.connections):
                connection.look(now, self._patience_s - pause_s, self._idle_s)

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, and end those that take longer than `grace_s`."""
        self._looking.cancel()
        self._server.close()
        for connection in self.connections:
            connection.drain()
        under_way = [call.task for connection in self.connections for call in connection.calls.values()]
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in list(self.connections):
            connection.close()
