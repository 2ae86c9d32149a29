"""One client's connection: frames in, streams opened, fed and ended; what a hostile peer may cost is bounded."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

import grpc

from gristmill.serving.gateway.rpc.http2 import frames
from gristmill.serving.gateway.rpc.http2.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEAD,
    MAX_FRAME_BYTES,
    PREFACE,
    Code,
    ConnectionFault,
    Kind,
    Setting,
)
from gristmill.serving.gateway.rpc.http2.headers import MAX_HEADER_BYTES, HeaderReader, Headers, block
from gristmill.serving.gateway.rpc.http2.messages import known_encoding
from gristmill.serving.gateway.rpc.http2.outflow import Outflow
from gristmill.serving.gateway.rpc.http2.stream import WINDOW, Stream

_CONNECTION_WINDOW = 16 * WINDOW
_MOST_STREAMS = 1024  # those beyond wait at the client; without this one connection could open millions
_BYTES_A_SECOND = 64 * 1024  # a client that sends this fast may take longer than the timeout
_PATIENCE = 1000  # frames that cost us more than the peer; so many at once, and
_PATIENCE_A_SECOND = 200.0  # so many lastingly (CVE-2023-44487, CVE-2019-9512, -9515, -9518)
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}  # of grpc-timeout
_MOST_HELD = 4  # messages of the largest size that may be half there at a time


class Host(Protocol):
    """What a connection needs of its server."""

    draining: bool
    max_message_bytes: int
    connections: set[Connection]

    def handler(self, path: str) -> Any: ...


class Connection(asyncio.Protocol):
    outflow: Outflow

    def __init__(self, host: Host) -> None:
        self.loop = asyncio.get_running_loop()
        self.streams: dict[int, Stream] = {}
        self.held = 0  # bytes of messages that no handler has taken
        self._host = host
        self._rest = b""
        self._preface = True  # is still to come
        self._last = 0  # the newest stream
        self._headers = HeaderReader()
        self._block: tuple[int, int, list[bytes]] | None = None  # a header block of several frames
        self._tasks: set[asyncio.Task[None]] = set()
        self._owed = 0  # bytes that came and are not credited to the connection's window yet
        self._patience = float(_PATIENCE)
        self._heard_at = self._checked_at = self.loop.time()
        self._pinged_at: float | None = None
        self._ended_at: float | None = None
        self._quiet: asyncio.Future[None] | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.outflow = Outflow(self._transport, self._look_quiet)
        self._host.connections.add(self)
        offered = {
            Setting.MAX_CONCURRENT_STREAMS: _MOST_STREAMS,
            Setting.INITIAL_WINDOW_SIZE: WINDOW,
            Setting.MAX_HEADER_LIST_SIZE: MAX_HEADER_BYTES,
        }
        wider = frames.window_update(0, _CONNECTION_WINDOW - frames.DEFAULT_WINDOW)
        self.outflow.write(frames.settings(offered) + wider)

    def connection_lost(self, exc: Exception | None) -> None:
        self._host.connections.discard(self)
        for stream in self.streams.values():
            stream.leave()
        self.streams.clear()
        self.outflow.blocked.clear()
        self._look_quiet()

    def pause_writing(self) -> None:
        """Nor read what would have to be answered."""
        self.outflow.pause()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()
        self.outflow.resume()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        self._pinged_at = None
        try:
            self._rest = self._read(self._rest + data if self._rest else data)
        except ConnectionFault as fault:
            self.end(fault.code, str(fault))

    # Frames in.

    def _read(self, data: bytes) -> bytes:
        """Takes every whole frame; returns what is left. Raises ConnectionFault."""
        at = 0
        if self._preface:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                raise ConnectionFault(Code.PROTOCOL_ERROR, "This port speaks gRPC over HTTP/2.")
            if len(data) < len(PREFACE):
                return data
            self._preface = False
            at = len(PREFACE)
        size = len(data)
        while size - at >= HEAD.size:
            length_and_kind, flags, number = HEAD.unpack_from(data, at)
            length, kind = length_and_kind >> 8, length_and_kind & 0xFF
            if length > MAX_FRAME_BYTES:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "The frame is too large.")
            start = at + HEAD.size
            if size - start < length:
                break
            at = start + length
            self._take(kind, flags, number & frames.MAX_WINDOW, data[start:at])
            if self._transport.is_closing():
                return b""
        return data[at:]

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and (kind != Kind.CONTINUATION or number != self._block[0]):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A header block was not ended.")
        if kind == Kind.DATA:
            self._data(flags, number, payload)
        elif kind == Kind.HEADERS:
            self._header_block(flags, number, [frames.header_fragment(flags, payload)])
        elif kind == Kind.WINDOW_UPDATE:
            self._window_update(number, frames.increment(payload))
        elif kind == Kind.RST_STREAM:
            self._reset(number, payload)
        elif kind == Kind.CONTINUATION:
            self._continuation(flags, payload)
        else:
            self._control(kind, flags, number, payload)

    def _control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """What concerns the connection; GOAWAY, priorities and unknown kinds ask for nothing."""
        if kind == Kind.PUSH_PROMISE:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A client cannot push.")
        if kind in (Kind.SETTINGS, Kind.PING) and number:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "The frame belongs to the connection.")
        if kind == Kind.SETTINGS and not flags & ACK:
            self._strain()
            self._settings(payload)
            self.outflow.write(frames.frame(Kind.SETTINGS, ACK, 0))
        elif kind == Kind.PING and not flags & ACK:
            if len(payload) != 8:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "A ping has eight bytes.")
            self._strain()
            self.outflow.write(frames.frame(Kind.PING, ACK, 0, payload))

    def _settings(self, payload: bytes) -> None:
        for name, value in frames.read_settings(payload):
            if name == Setting.INITIAL_WINDOW_SIZE:
                open_ones = {stream.outgoing.number: stream.outgoing for stream in self.streams.values()}
                self.outflow.initial_window(value, (open_ones | self.outflow.blocked).values())
            elif name == Setting.MAX_FRAME_SIZE:
                self.outflow.frame_size(value)

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        self._credit(len(payload))
        stream = self.streams.get(number)
        if stream is None:
            if number > self._last or number == 0:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "Data came for a stream that was not opened.")
            return  # it was answered before all of it came
        if stream.whole:
            self.drop(number, Code.STREAM_CLOSED)
            return
        if payload:
            stream.receive(frames.unpadded(flags, payload), len(payload))
            if self.held > _MOST_HELD * (self._host.max_message_bytes + WINDOW) and number in self.streams:
                stream.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "This connection has too much under way.")
        elif not flags & END_STREAM:
            self._strain()
        if flags & END_STREAM and number in self.streams:
            stream.complete()

    def _credit(self, count: int) -> None:
        self._owed += count
        if self._owed >= _CONNECTION_WINDOW // 2:
            self.outflow.write(frames.window_update(0, self._owed))
            self._owed = 0

    def _header_block(self, flags: int, number: int, parts: list[bytes]) -> None:
        if not flags & END_HEADERS:
            self._block = (number, flags, parts)
            return
        self._block = None
        headers = self._headers.read(parts[0] if len(parts) == 1 else b"".join(parts))
        stream = self.streams.get(number)
        if stream is not None:
            if not flags & END_STREAM or stream.whole:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "Headers came twice.")
            stream.complete()
        elif number > self._last:
            self._open(number, headers, bool(flags & END_STREAM))
        elif number % 2 == 0:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A client's streams have odd numbers.")

    def _continuation(self, flags: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A continuation of nothing came.")
        number, first_flags, parts = self._block
        parts.append(payload)
        if sum(map(len, parts)) > MAX_HEADER_BYTES or len(parts) > 16:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "The headers are too long.")
        self._header_block(first_flags | flags & END_HEADERS, number, parts)

    def _window_update(self, number: int, count: int) -> None:
        if number == 0:
            self.outflow.widen(count)
            return
        stream = self.streams.get(number)
        outgoing = stream.outgoing if stream is not None else self.outflow.blocked.get(number)
        if outgoing is not None and not self.outflow.widen_stream(outgoing, count):
            self.drop(number, Code.FLOW_CONTROL_ERROR)

    def _reset(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "A reset has four bytes.")
        if number == 0 or number > self._last:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A stream that was not opened cannot be reset.")
        self._strain()
        self._gone(number)

    def _strain(self) -> None:
        now = self.loop.time()
        self._patience = min(_PATIENCE, self._patience + (now - self._checked_at) * _PATIENCE_A_SECOND) - 1
        self._checked_at = now
        if self._patience < 0:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "Too many frames that ask for nothing.")

    # Streams.

    def _open(self, number: int, headers: Headers, whole: bool) -> None:
        if number % 2 == 0:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A client's streams have odd numbers.")
        self._last = number
        if self._host.draining or max(len(self.streams), len(self._tasks)) >= _MOST_STREAMS:
            self.outflow.write(frames.reset(number, Code.REFUSED_STREAM))
            return
        if headers.get(b":method") != b"POST" or not headers.get(b"content-type", b"").startswith(b"application/grpc"):
            status = b"405" if headers.get(b":method") != b"POST" else b"415"
            refused = block([(b":status", status)])
            self.outflow.write(frames.frame(Kind.HEADERS, END_HEADERS | END_STREAM, number, refused))
            if not whole:
                self.outflow.write(frames.reset(number, Code.NO_ERROR))
            return
        handler = self._host.handler(headers.get(b":path", b"").decode("latin-1"))
        stream = self.streams[number] = Stream(self, number, headers, handler, self._host.max_message_bytes)
        try:
            timeout_s = read_timeout(headers.get(b"grpc-timeout"))
        except ValueError:
            stream.refuse(grpc.StatusCode.INTERNAL, "grpc-timeout cannot be read.")
            return
        if not known_encoding(headers.get(b"grpc-encoding")):
            stream.refuse(grpc.StatusCode.UNIMPLEMENTED, "Messages may be compressed with gzip or deflate.")
            return
        stream.start(timeout_s)
        if whole:
            stream.complete()

    def keep(self, task: asyncio.Task[None]) -> None:
        """The loop itself holds tasks only weakly."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close_stream(self, number: int) -> None:
        """It is answered; what of the answer waits for a window goes out yet."""
        self.streams.pop(number, None)
        self._look_quiet()

    def drop(self, number: int, code: Code) -> None:
        """End one stream for a fault of the peer."""
        self.outflow.write(frames.reset(number, code))
        self._gone(number)

    def _gone(self, number: int) -> None:
        stream = self.streams.pop(number, None)
        if stream is not None:
            stream.leave()
        outgoing = self.outflow.blocked.get(number)
        if outgoing is not None:
            self.outflow.forget(outgoing)
        self._look_quiet()

    # The connection's end.

    @property
    def busy(self) -> bool:
        return bool(self.streams or self.outflow.blocked)

    def end(self, code: Code, says: str = "") -> None:
        """Tell why, and close when that is sent."""
        if not self._transport.is_closing():
            self._ended_at = self.loop.time()
            self.outflow.write(frames.go_away(self._last, code, says))
            self._transport.close()

    async def quiet(self) -> None:
        """Until what was open is answered, and the answers are on their way."""
        if self.busy:
            self._quiet = self.loop.create_future()
            await self._quiet

    def _look_quiet(self) -> None:
        if self._quiet is not None and not self._quiet.done() and not self.busy:
            self._quiet.set_result(None)

    def close(self) -> None:
        self._transport.close()

    def go_away(self) -> None:
        """Open no more; what is open is answered."""
        if not self._transport.is_closing():
            self.outflow.write(frames.go_away(self._last, Code.NO_ERROR))

    def close_if_late(self, now: float, timeout_s: float, idle_s: float) -> None:
        """Requests that do not arrive, a peer that idles, and one that has gone without a word."""
        silent_s = now - self._heard_at
        waits = (self._heard_at if self._preface else None, self._pinged_at, self._ended_at)
        if any(since is not None and now - since > timeout_s for since in waits):
            self._transport.abort()
        elif silent_s > idle_s and not self.busy:
            self.end(Code.NO_ERROR)
        elif silent_s > idle_s and self._pinged_at is None:
            self._pinged_at = now
            self.outflow.write(frames.frame(Kind.PING, 0, 0, bytes(8)))
        for stream in list(self.streams.values()):
            late_s = now - stream.began_at - stream.received / _BYTES_A_SECOND - timeout_s
            if late_s > 0 and not (stream.whole or stream.streaming):
                stream.refuse(grpc.StatusCode.DEADLINE_EXCEEDED, "The request did not arrive in time.")


def read_timeout(text: bytes | None) -> float | None:
    """Seconds of a `grpc-timeout`: at most eight digits and a unit. Raises ValueError."""
    if text is None:
        return None
    digits, unit = text[:-1], text[-1:].decode("latin-1")
    if not digits.isdigit() or len(digits) > 8 or unit not in _UNITS:
        raise ValueError(text)
    return int(digits) * _UNITS[unit]
