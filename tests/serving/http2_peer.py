"""A gRPC server of ours with three methods, and a peer that sends it whatever frames it likes."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import grpc

from gristmill.serving.gateway.rpc.http2 import frames
from gristmill.serving.gateway.rpc.http2.frames import END_HEADERS, END_STREAM, HEAD, PREFACE, Kind
from gristmill.serving.gateway.rpc.http2.headers import block
from gristmill.serving.gateway.rpc.http2.server import Server
from gristmill.serving.gateway.sockets import listening_socket

MAX_MESSAGE_BYTES = 8 * 2**20


class Echo(grpc.GenericRpcHandler):
    """Says a message again, each of a stream again, or waits for ever; `waiting` counts those that wait."""

    def __init__(self) -> None:
        self.waiting = 0
        self._handlers = {
            "/echo/Once": grpc.unary_unary_rpc_method_handler(self._once),
            "/echo/Each": grpc.stream_stream_rpc_method_handler(self._each),
            "/echo/Wait": grpc.unary_unary_rpc_method_handler(self._wait),
        }

    def service(self, details: Any) -> Any:
        return self._handlers.get(details.method, self._handlers["/echo/Once"])

    async def _once(self, message: bytes, context: Any) -> bytes:
        return message

    async def _each(self, messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for message in messages:
            yield message

    async def _wait(self, message: bytes, context: Any) -> bytes:
        self.waiting += 1
        try:
            await asyncio.sleep(3600)
        finally:
            self.waiting -= 1
        return b""


class Running(NamedTuple):
    port: int
    server: Server
    echo: Echo


@contextmanager
def running(**options: float) -> Iterator[Running]:
    """On a loop of its own, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    echo = Echo()
    timeouts = {"client_timeout_s": 5.0, "idle_s": 60.0} | options
    server = Server(max_message_bytes=MAX_MESSAGE_BYTES, **timeouts)
    server.add_generic_rpc_handlers((echo,))
    listener = listening_socket("127.0.0.1", 0, reuse_port=False)
    asyncio.run_coroutine_threadsafe(server.start(listener), loop).result(5)
    try:
        yield Running(listener.getsockname()[1], server, echo)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(0.1), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


class Peer:
    """A connection that has sent its preface and its settings, or nothing where `bare`."""

    def __init__(self, port: int, settings: dict[frames.Setting, int] | None = None, *, bare: bool = False) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._read = self.socket.makefile("rb")
        if not bare:
            self.send(PREFACE, frames.settings(settings or {}))

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._read.close()
        self.socket.close()

    def send(self, *sent: bytes) -> None:
        self.socket.sendall(b"".join(sent))

    def try_to_send(self, sent: bytes) -> None:
        """The server may close before all is sent."""
        with suppress(ConnectionError):
            self.send(sent)

    def frames(self) -> Iterator[Frame]:
        """Until the server closes."""
        while len(head := self._read.read(HEAD.size)) == HEAD.size:
            length_and_kind, flags, stream = HEAD.unpack(head)
            yield Frame(length_and_kind & 0xFF, flags, stream, self._read.read(length_and_kind >> 8))

    def until(self, kind: Kind, flags: int = 0) -> Frame:
        """The next frame of a kind that has these flags. Fails when none comes before the end."""
        return next(one for one in self.frames() if one.kind == kind and one.flags & flags == flags)

    def ended(self) -> int | None:
        """Why the server went away; None when it just closed."""
        told = None
        with suppress(ConnectionError):
            for one in self.frames():
                if one.kind == Kind.GOAWAY:
                    told = int.from_bytes(one.payload[4:8], "big")
        return told


def headers(stream: int, path: bytes = b"/echo/Once", flags: int = END_HEADERS, **more: bytes) -> bytes:
    pairs = {b":method": b"POST", b":path": path, b"content-type": b"application/grpc"}
    pairs |= {name.replace("_", "-").encode(): value for name, value in more.items()}
    return frames.frame(Kind.HEADERS, flags, stream, block(pairs.items()))


def data(stream: int, payload: bytes, flags: int = END_STREAM) -> bytes:
    return frames.frame(Kind.DATA, flags, stream, payload)
