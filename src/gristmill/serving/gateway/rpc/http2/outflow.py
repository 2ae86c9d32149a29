"""What a connection sends: within the peer's windows, and no faster than the peer reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from gristmill.serving.gateway.rpc.http2.frames import (
    DEFAULT_WINDOW,
    HEAD,
    MAX_FRAME_BYTES,
    MAX_WINDOW,
    Code,
    ConnectionFault,
    data_frames,
)


class Outgoing:
    """One stream's half that goes out; `tail` are the frames that end it."""

    def __init__(self, number: int, window: int) -> None:
        self.number = number
        self.window = window
        self.body = memoryview(b"")  # not sent yet
        self.tail = b""
        self.sent: asyncio.Future[None] | None = None  # somebody waits until `body` is out

    def wake(self) -> None:
        if self.sent is not None and not self.sent.done():
            self.sent.set_result(None)
        self.sent = None


class Outflow:
    def __init__(self, transport: asyncio.Transport, emptied: Callable[[], None]) -> None:
        """`emptied` is called whenever an answer that had to wait has gone out."""
        self._transport = transport
        self._window = DEFAULT_WINDOW
        self._initial = DEFAULT_WINDOW
        self._most = MAX_FRAME_BYTES
        self._emptied = emptied
        self.blocked: dict[int, Outgoing] = {}  # by stream: those that wait for a window or the transport
        self._paused = False
        self.write = transport.write  # for frames that no window bounds

    def open(self, number: int) -> Outgoing:
        return Outgoing(number, self._initial)

    def send(self, stream: Outgoing, head: bytes, body: bytes, tail: bytes = b"") -> None:
        """`head` now; `body` as DATA and then `tail` as soon as the windows allow."""
        size = len(body)
        if size <= self._window and size <= stream.window and size <= self._most and not (stream.body or self._paused):
            self._window -= size
            stream.window -= size
            self.write(b"".join((head, HEAD.pack(size << 8, 0, stream.number) if size else b"", body, tail)))
            return
        if head:
            self.write(head)
        stream.body = memoryview(bytes(stream.body) + body)
        stream.tail = tail
        self.blocked[stream.number] = stream
        self._pump()

    def end(self, stream: Outgoing, tail: bytes) -> None:
        """After what still waits."""
        if stream.body:
            stream.tail = tail
        else:
            self.write(tail)

    def forget(self, stream: Outgoing) -> None:
        """Send no more of it."""
        self.blocked.pop(stream.number, None)
        stream.body = memoryview(b"")
        stream.wake()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._pump()

    def frame_size(self, value: int) -> None:
        self._most = min(value, 4 * MAX_FRAME_BYTES)

    def initial_window(self, value: int, streams: Iterable[Outgoing]) -> None:
        """The difference counts for the streams that are open too (RFC 9113, 6.9.2)."""
        for stream in streams:
            stream.window += value - self._initial
            if stream.window > MAX_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "A window is too large.")
        self._initial = value
        self._pump()

    def widen(self, count: int) -> None:
        """The connection's window. Raises ConnectionFault."""
        if count == 0 or self._window + count > MAX_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "The connection's window cannot grow by that.")
        self._window += count
        self._pump()

    def widen_stream(self, stream: Outgoing, count: int) -> bool:
        """False where the window cannot grow by `count`: the stream is at fault."""
        if count == 0 or stream.window + count > MAX_WINDOW:
            return False
        stream.window += count
        self._pump()
        return True

    def _pump(self) -> None:
        """Each waiting stream in turn, so that a large answer does not hold up the small ones for long."""
        moved = True
        while moved and self.blocked:
            moved = False
            for stream in list(self.blocked.values()):
                if self._paused:
                    return
                moved |= self._push(stream)

    def _push(self, stream: Outgoing) -> bool:
        allowed = min(self._window, stream.window, self._most, len(stream.body))
        if allowed <= 0:
            return False
        self._window -= allowed
        stream.window -= allowed
        self.write(b"".join(data_frames(stream.number, stream.body[:allowed], self._most)))
        stream.body = stream.body[allowed:]
        if not stream.body:
            del self.blocked[stream.number]
            if stream.tail:
                self.write(stream.tail)
            stream.wake()
            self._emptied()
        return True
