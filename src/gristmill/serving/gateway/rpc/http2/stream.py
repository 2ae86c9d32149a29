"""One call: its messages in, its answer out. grpc's handlers know it as their context."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from gristmill.serving.gateway.rpc.http2.frames import (
    END_HEADERS,
    END_STREAM,
    Code,
    Kind,
    frame,
    reset,
    window_update,
)
from gristmill.serving.gateway.rpc.http2.headers import OK, RESPONSE, Headers, block, percent_encoded
from gristmill.serving.gateway.rpc.http2.messages import MessageReader, Unreadable, framed

if TYPE_CHECKING:
    from gristmill.serving.gateway.rpc.http2.connection import Connection

_log = logging.getLogger(__name__)
WINDOW = 1024 * 1024  # bytes that a stream may send ahead of its handler
_CREDIT = WINDOW // 2  # given back at once, so that not each frame is answered
Metadata = Iterable[tuple[str, str]]


class Aborted(Exception):
    """The call has been answered with an error: nothing is left to do."""


class Stream:
    def __init__(self, connection: Connection, number: int, headers: Headers, handler: Any, limit: int) -> None:
        self.headers = headers
        self.whole = False  # the client has sent all
        self.received = 0  # bytes
        self.began_at = connection.loop.time()
        self.outgoing = connection.outflow.open(number)
        self.streaming = bool(handler.request_streaming)
        self._connection = connection
        self._number = number
        self._handler = handler
        self._reader = MessageReader(limit, headers.get(b"grpc-encoding"))
        self._messages: deque[bytes] = deque()
        self._arrival: asyncio.Future[None] | None = None
        self._window, self._owed, self._waiting = WINDOW, 0, 0  # bytes: may come, came uncredited, lie unread
        self._held = 0
        self._task: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._expires_at: float | None = None
        self._answering = self._ended = False
        self._trailing = b""

    def start(self, timeout_s: float | None) -> None:
        if timeout_s is not None:
            self._expires_at = self._connection.loop.time() + timeout_s
            self._expiry = self._connection.loop.call_at(self._expires_at, self.expire)
        if self.streaming:
            self._run(self._iterate())

    # From the connection.

    def receive(self, data: bytes, counted: int) -> None:
        """`counted`: bytes of the frame that flow control counts, padding too."""
        self._window -= counted
        if self._window < 0:
            self._connection.drop(self._number, Code.FLOW_CONTROL_ERROR)
            return
        self.received += counted
        self._owed += counted
        try:
            found = self._reader.feed(data)
        except Unreadable as fault:
            self.refuse(fault.code, fault.says)
            return
        for message in found:
            self._waiting += len(message)
            self._messages.append(message)
        self._account()
        if self._owed >= _CREDIT and self._waiting < WINDOW:
            self._credit()
        if found:
            self._wake()

    def complete(self) -> None:
        """The client's half is closed: a call of one message begins here."""
        self.whole = True
        self._wake()
        if self.streaming:
            return
        if len(self._messages) != 1 or self._reader.held:
            self.refuse(grpc.StatusCode.INTERNAL, "This method takes one message.")
            return
        try:
            given = self._deserialised(self._messages.popleft())
        except Exception:
            self.refuse(grpc.StatusCode.INTERNAL, "The message cannot be read.")
            return
        self._waiting = 0
        self._account()
        self._run(given)

    def expire(self) -> None:
        self.refuse(grpc.StatusCode.DEADLINE_EXCEEDED, "The call's deadline passed.")

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        self._ended = True
        self._forget()
        if self._task is not None:
            self._task.cancel()

    def refuse(self, code: grpc.StatusCode, says: str, metadata: Metadata = ()) -> None:
        """Ends the call with an error, whatever of it is under way."""
        if not self._ended:
            pairs = [(name.encode(), value.encode()) for name, value in metadata]
            self._finish(
                [(b"grpc-status", str(code.value[0]).encode()), (b"grpc-message", percent_encoded(says)), *pairs]
            )
        if self._task is not None and self._task is not asyncio.current_task(self._connection.loop):
            self._task.cancel()

    # From the handler: what of grpc.aio.ServicerContext is asked for here.

    def time_remaining(self) -> float | None:
        """Seconds until the client's deadline."""
        return None if self._expires_at is None else self._expires_at - self._connection.loop.time()

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        self._trailing = block([(name.encode(), value.encode()) for name, value in metadata])

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:
        self.refuse(code, details, trailing_metadata)
        raise Aborted

    async def write(self, message: Any) -> None:
        """One message of a stream; returns when it is on its way."""
        if self._ended:
            raise asyncio.CancelledError
        self._connection.outflow.send(self.outgoing, self._head(), framed(self._serialised(message)))
        if self.outgoing.body:
            self.outgoing.sent = self._connection.loop.create_future()
            await self.outgoing.sent

    # Inside.

    def _run(self, given: Any) -> None:
        self._task = self._connection.loop.create_task(self._answer(given))
        self._connection.keep(self._task)

    async def _answer(self, given: Any) -> None:
        try:
            if self._handler.response_streaming:
                await self._answer_many(given)
            else:
                function = self._handler.stream_unary if self.streaming else self._handler.unary_unary
                self._answer_once(await function(given, self))
        except Aborted:
            pass
        except Exception:
            _log.exception("a call failed")
            self.refuse(grpc.StatusCode.INTERNAL, "The gateway failed on this request; its log has the reason.")

    def _answer_once(self, message: Any) -> None:
        if not self._ended:
            body = framed(self._serialised(message))
            tail = self._tail(OK + self._trailing)
            self._connection.outflow.send(self.outgoing, self._head(), body, tail)
            self._closed()

    async def _answer_many(self, given: Any) -> None:
        function = self._handler.stream_stream if self.streaming else self._handler.unary_stream
        answers = function(given, self)
        if hasattr(answers, "__aiter__"):
            async for answer in answers:
                await self.write(answer)
        else:
            await answers
        if not self._ended:
            self._connection.outflow.end(self.outgoing, self._head() + self._tail(OK + self._trailing))
            self._closed()

    async def _iterate(self) -> AsyncIterator[Any]:
        """The client's messages; what they took of the window is given back as they are taken."""
        while True:
            while self._messages:
                message = self._messages.popleft()
                self._waiting -= len(message)
                self._account()
                if self._owed >= _CREDIT and self._waiting < WINDOW:
                    self._credit()
                yield self._deserialised(message)
            if self.whole:
                return
            self._arrival = self._connection.loop.create_future()
            await self._arrival

    def _account(self) -> None:
        """The connection's sum of what its streams hold."""
        held = self._reader.held + self._waiting
        self._connection.held += held - self._held
        self._held = held

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _credit(self) -> None:
        if not self.whole:
            self._connection.outflow.write(window_update(self._number, self._owed))
            self._window += self._owed
            self._owed = 0

    def _deserialised(self, message: bytes) -> Any:
        read = self._handler.request_deserializer
        return message if read is None else read(message)

    def _serialised(self, message: Any) -> bytes:
        write = self._handler.response_serializer
        serialised: bytes = message if write is None else write(message)
        return serialised

    def _head(self) -> bytes:
        if self._answering:
            return b""
        self._answering = True
        return frame(Kind.HEADERS, END_HEADERS, self._number, RESPONSE)

    def _tail(self, trailers: bytes) -> bytes:
        ending = frame(Kind.HEADERS, END_HEADERS | END_STREAM, self._number, trailers)
        return ending if self.whole else ending + reset(self._number, Code.NO_ERROR)

    def _finish(self, pairs: list[tuple[bytes, bytes]]) -> None:
        start = b"" if self._answering else RESPONSE  # an error alone is one header block, not two
        self._connection.outflow.end(self.outgoing, self._tail(start + block(pairs)))
        self._closed()

    def _closed(self) -> None:
        self._ended = True
        self._forget()
        self._connection.close_stream(self._number)

    def _forget(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._messages.clear()
        self._connection.held -= self._held
        self._held = 0
