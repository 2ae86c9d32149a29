"""One call: its messages, its handler's task, and what that task sees of it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from gristmill.serving.gateway.rpc.http2 import messages

if TYPE_CHECKING:
    from gristmill.serving.gateway.rpc.http2.connection import Connection

_log = logging.getLogger(__name__)
_UNREAD = 64  # messages that wait for the handler; beyond them the client waits
_STRANGERS_BYTES = 4096  # of a message that is taken before its caller has shown a key
_NOT_METADATA = frozenset((b":method", b":scheme", b":authority", b":path", b"te", b"content-type", b"grpc-timeout"))
Metadata = Iterable[tuple[str, str]]


class _Aborted(Exception):
    """The call has its status already."""


class Call:
    """Of grpc.aio.ServicerContext it has what handlers here use; metadata of bytes (`-bin`) is left as text."""

    def __init__(self, connection: Connection, number: int, headers: dict[bytes, bytes]) -> None:
        self._connection = connection
        self._headers = headers
        self._loop = connection.loop
        self.number = number  # of the stream
        self._inbound = messages.Inbound(connection.server.message_limit, headers.get(b"grpc-encoding"))
        self._messages: deque[bytes | None] = deque()  # None: no more will come
        self._came: asyncio.Future[None] | None = None
        self._unread_bytes = 0
        self._known = False
        self._begun = self._ended = False
        self._trailing: Metadata = ()
        handler = connection.server.handler(headers[b":path"].decode("latin-1"))
        timeout_s = messages.timeout_s(headers.get(b"grpc-timeout"))
        self._deadline = None if timeout_s is None else self._loop.time() + timeout_s
        self._alarm = None if self._deadline is None else self._loop.call_at(self._deadline, self._too_late)
        self.task = self._loop.create_task(self._run(handler))

    # What the connection tells

    def receive(self, data: bytes, last: bool) -> None:
        try:
            self._messages.extend(self._inbound.feed(data))
            if self._inbound.waiting > _STRANGERS_BYTES and not self._known:
                self._known = self._connection.server.admits(self.invocation_metadata())
                if not self._known:
                    raise messages.Refused(grpc.StatusCode.UNAUTHENTICATED, "A message of this size needs an API key.")
        except messages.Refused as refused:
            self._stop(refused.code, refused.details)
            return
        self._unread_bytes += len(data)
        if len(self._messages) < _UNREAD:
            self._acknowledge()
        if last:
            self._messages.append(None)
        if self._came is not None and self._messages and not self._came.done():
            self._came.set_result(None)

    def left(self) -> None:
        """The client is gone."""
        self._ended = True
        self.task.cancel()
        self._connection.forget(self)

    def _acknowledge(self) -> None:
        """Make room at the client for as much again."""
        self._connection.acknowledge(self.number, self._unread_bytes)
        self._unread_bytes = 0

    def _too_late(self) -> None:
        self._stop(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _stop(self, code: Any, details: str) -> None:
        self.end(code, details)
        self.task.cancel()

    # What the handler sees (grpc.aio.ServicerContext)

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in self._headers.items()
                if name not in _NOT_METADATA
            ]
        )

    def time_remaining(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - self._loop.time())

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        self._trailing = metadata

    async def abort(self, code: Any, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:
        self.end(code, details, trailing_metadata)
        raise _Aborted

    async def write(self, message: bytes) -> None:
        """Waits while the client is behind."""
        await self._connection.room(self.number)
        self._send(message)

    # The handler's task

    async def _run(self, handler: Any) -> None:
        try:
            await self._answer(handler)
            self.end(grpc.StatusCode.OK, "", self._trailing)
        except _Aborted:
            pass
        except asyncio.CancelledError:
            self.end(grpc.StatusCode.UNAVAILABLE, "The gateway ends.")  # unless something else ended it
        except Exception:
            _log.exception("a call over gRPC failed")
            self.end(grpc.StatusCode.INTERNAL, "The gateway failed on this call; its log has the reason.")
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            self._connection.forget(self)

    async def _answer(self, handler: Any) -> None:
        read, write = handler.request_deserializer or bytes, handler.response_serializer or bytes
        if handler.request_streaming:
            asked: Any = (read(message) async for message in self._incoming())
        else:
            message = await self._next()
            if message is None:
                await self.abort(grpc.StatusCode.INTERNAL, "The call ended before its message.")
            asked = read(message)
        method = handler.stream_stream or handler.unary_stream or handler.unary_unary
        answers = method(asked, self)
        if not handler.response_streaming:
            self._send(write(await answers))
        elif hasattr(answers, "__aiter__"):
            async for answer in answers:
                await self.write(write(answer))
        else:
            await answers

    async def _incoming(self) -> AsyncIterator[bytes]:
        while (message := await self._next()) is not None:
            yield message

    async def _next(self) -> bytes | None:
        """None where no more will come."""
        if not self._messages:
            self._came = self._loop.create_future()
            await self._came
        message = self._messages.popleft()
        if self._unread_bytes and len(self._messages) < _UNREAD:
            self._acknowledge()
        return message

    def _send(self, message: bytes) -> None:
        if not self._ended:
            self._connection.send(self.number, messages.framed(message), first=not self._begun)
            self._begun = True

    def end(self, code: Any, details: str, metadata: Metadata = ()) -> None:
        if not self._ended:
            self._ended = True
            self._connection.end(self.number, messages.trailers(code, details, metadata), first=not self._begun)
