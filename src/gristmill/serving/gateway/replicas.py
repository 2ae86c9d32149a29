"""The line to one worker: connected as long as the worker lives, again within milliseconds when it is back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

from gristmill.core import frames
from gristmill.core.routes import RouteReplica
from gristmill.serving.wire.messages import Answered, Computed, Draining, Generated, Hello, Ready, decode_to_gateway
from gristmill.serving.wire.stream import FrameStream
from gristmill.serving.wire.tensors import Buffer

_log = logging.getLogger(__name__)
_FIRST_RETRY_S, _LAST_RETRY_S = 0.02, 0.32


T = TypeVar("T")


class Owner(Protocol[T]):
    """Who is told what happens on the line; T is what it has in flight there."""

    digest: str

    def became_ready(self, replica: Replica[T], timings: tuple[tuple[int, float], ...]) -> None: ...

    def answered(self, replica: Replica[T], item: T, message: Computed | Answered, body: bytes) -> None: ...

    def generated(self, replica: Replica[T], message: Generated) -> None:
        """Takes what ended out of `replica.in_flight`."""
        ...

    def lost(self, replica: Replica[T], items: list[T]) -> None: ...


class Replica(Generic[T]):
    """Holds what is in flight on it. `ready` from the worker's Ready until the line breaks or the worker drains."""

    def __init__(self, route: RouteReplica, owner: Owner[T], gateway: str) -> None:
        self.id = route.id
        self.ready = False
        self.in_flight: dict[int, T] = {}
        self.last_answer_at = 0.0
        self._socket = route.socket
        self._owner = owner
        self._gateway = gateway
        self._line: _Line | None = None
        self._closing = False
        self._task = asyncio.get_running_loop().create_task(self._stay_connected())

    def send(self, number: int, item: T, message: Any, buffers: Sequence[Buffer] = ()) -> None:
        """In flight under `number` until its answer comes."""
        self.in_flight[number] = item
        self.tell(message, buffers)

    def tell(self, message: Any, buffers: Sequence[Buffer] = ()) -> None:
        """Send what has no answer of its own."""
        if self._line is not None:
            self._line.transport.writelines(frames.encode(message, *buffers))

    def close_when_done(self) -> None:
        """Take no more; the line closes once what is in flight is answered."""
        self._closing, self.ready = True, False
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._closing and not self.in_flight:
            self._task.cancel()
            if self._line is not None:
                self._line.transport.close()

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        wait_s = _FIRST_RETRY_S
        while not self._closing:
            try:
                _, line = await loop.create_unix_connection(lambda: _Line(self._received), self._socket)
            except OSError:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 1.5, _LAST_RETRY_S)
                continue
            self._line = line
            line.transport.writelines(frames.encode(Hello(self._gateway)))
            await line.lost
            wait_s = _FIRST_RETRY_S
            self._broken()
            await asyncio.sleep(wait_s)

    def _broken(self) -> None:
        self._line, self.ready = None, False
        items = list(self.in_flight.values())
        self.in_flight.clear()
        self._owner.lost(self, items)

    def _received(self, header: bytes, body: bytes) -> None:
        message = decode_to_gateway(header)
        if isinstance(message, Computed | Answered):
            self._owner.answered(self, self.in_flight.pop(message.batch), message, body)
            if not self.in_flight and not self.ready:
                self._end_line()
        elif isinstance(message, Generated):
            self._owner.generated(self, message)
            if not self.in_flight and not self.ready:
                self._end_line()
        elif isinstance(message, Ready):
            self._welcome(message)
        elif isinstance(message, Draining):
            self.ready = False
            if not self.in_flight:
                self._end_line()

    def _welcome(self, message: Ready) -> None:
        if message.digest != self._owner.digest:
            _log.warning("replica %s holds another version: %s", self.id, message.digest)
            self._end_line()
        elif not self._closing:
            self.ready = True
            self._owner.became_ready(self, message.timings)

    def _end_line(self) -> None:
        self._close_if_done()
        if self._line is not None:
            self._line.transport.close()


class _Line(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, received: Callable[[bytes, bytes], None]) -> None:
        self._stream = FrameStream()
        self._receive = received
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one, but not by class

    def data_received(self, data: bytes) -> None:
        try:
            for header, body in self._stream.feed(data):
                self._receive(header, body)
        except Exception:  # whatever it is: uvloop would stop reading, and what is in flight would wait for ever
            _log.exception("a worker sent what is no message; its line is closed")
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
