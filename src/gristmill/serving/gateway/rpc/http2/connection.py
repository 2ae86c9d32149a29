"""One HTTP/2 connection: nghttp2 speaks the protocol and holds its limits, this carries bytes and calls past it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import ngh2

from gristmill.serving.gateway.rpc.http2.call import Call
from gristmill.serving.gateway.rpc.http2.messages import Headers

if TYPE_CHECKING:
    from gristmill.serving.gateway.rpc.http2.server import Http2Server

_ROOM_BYTES = 2**20  # unacknowledged of all calls of a connection; of one call it is HTTP/2's own 65,535
_WRITE_BYTES = 2**16
_QUEUED_BYTES = 2**18  # of a call's answers that its client has not taken
_CALLS = 1024  # those beyond wait at the client; without this one connection could open millions
_METADATA_BYTES = 2**14
_SETTINGS = {
    ngh2.Setting.MAX_CONCURRENT_STREAMS: _CALLS,
    ngh2.Setting.MAX_HEADER_LIST_SIZE: _METADATA_BYTES,
    ngh2.Setting.NO_RFC7540_PRIORITIES: 1,
}
_LIMITS = ngh2.Configuration(auto_window_update=False, max_inbound_header_list_size=_METADATA_BYTES)
_GRPC: Headers = [
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
]
_NOT_GRPC: Headers = [(b":status", b"415")]


class Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: Http2Server) -> None:
        self.server = server
        self.loop = asyncio.get_running_loop()
        self.calls: dict[int, Call] = {}
        self._http = ngh2.Connection(ngh2.Role.SERVER, _LIMITS)
        self._open = self._writable = True
        self._flushing = self._greeted = False
        self._room: set[asyncio.Future[None]] = set()
        self._heard_at = self.loop.time()
        self._pinged_at: float | None = None

    # What the transport tells (asyncio.Protocol)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one, but not by class
        self.server.connections.add(self)
        self._http.initiate_connection(_SETTINGS)
        self._http.set_local_window_size(_ROOM_BYTES)
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            for event in self._http.events():
                self._take(event)
        except ngh2.NGH2Error:  # the client hears why: what is to be said of it is queued
            self.close()
            return
        if self._greeted:
            self._heard_at, self._pinged_at = self.loop.time(), None
        if self._http.want_write:
            self._flush()  # at once: what ends the connection must go before its calls have more to say

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.server.connections.discard(self)
        self._end()

    def _take(self, event: ngh2.Event) -> None:
        if isinstance(event, ngh2.DataReceived):
            call = self.calls.get(event.stream_id)
            if call is not None:
                call.receive(event.data, event.end_stream)
            else:
                self.acknowledge(event.stream_id, len(event.data))
        elif isinstance(event, ngh2.RequestReceived):
            self._begin(event)
        elif isinstance(event, ngh2.TrailersReceived) and event.stream_id in self.calls:
            self.calls[event.stream_id].receive(b"", True)
        elif isinstance(event, ngh2.StreamClosed) and event.stream_id in self.calls:
            self.calls[event.stream_id].left()
        elif isinstance(event, ngh2.SettingsReceived):
            self._greeted = True

    def _begin(self, event: ngh2.RequestReceived) -> None:
        named = dict(event.headers)
        if named[b":method"] == b"POST" and named.get(b"content-type", b"").startswith(b"application/grpc"):
            call = self.calls[event.stream_id] = Call(self, event.stream_id, named)
            if event.end_stream:
                call.receive(b"", True)
        else:
            self._http.send_response(event.stream_id, _NOT_GRPC, end_stream=True)

    # What calls ask for

    def acknowledge(self, number: int, size: int) -> None:
        if size:
            self._http.acknowledge_received_data(size, number)
            if self._http.want_write:
                self._flush_soon()

    def send(self, number: int, data: bytes, first: bool) -> None:
        if first:
            self._http.send_response(number, _GRPC)
        self._http.send_data(number, data)
        self._flush_soon()

    def end(self, number: int, trailers: Headers, first: bool) -> None:
        if first:
            self._http.send_response(number, [*_GRPC, *trailers], end_stream=True)
        else:
            self._http.send_trailers(number, trailers)
        self._flush_soon()

    async def room(self, number: int) -> None:
        """Until the client has taken most of what waits for it."""
        while self._open and self._http.queued_body_size(number) > _QUEUED_BYTES:
            moved = self.loop.create_future()
            self._room.add(moved)
            await moved

    def forget(self, call: Call) -> None:
        self.calls.pop(call.number, None)

    # Bytes out

    def _flush_soon(self) -> None:
        """One write a turn of the loop, whatever many calls have to say."""
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        try:
            while self._open and self._writable and (data := self._http.data_to_send(_WRITE_BYTES)):
                self.transport.write(data)
        except ngh2.ConnectionStateError:  # it began with what is not HTTP/2: there is nothing to say to it
            self._open = False
        for moved in self._room:
            if not moved.done():
                moved.set_result(None)
        self._room.clear()
        if self._open and not self._http.want_read and not self._http.want_write:
            self._end()
            self.transport.close()

    def drain(self) -> None:
        """Take no new calls."""
        if self._open:
            self._http.send_goaway()
            self._flush()

    def close(self) -> None:
        self._flush()
        self._end()
        self.transport.close()

    def _end(self) -> None:
        self._open = False
        for call in list(self.calls.values()):
            call.left()
        self._flush()  # whoever waits for room need not

    def look(self, now: float, patience_s: float, idle_s: float) -> None:
        """Close it where nobody is there: no greeting in time, no call for long, no answer to a ping."""
        quiet_s = now - self._heard_at
        if not self._open:
            return
        if not self._greeted and quiet_s > patience_s:
            self.close()
        elif self._pinged_at is not None and now - self._pinged_at > patience_s:
            self.transport.abort()
        elif quiet_s > idle_s and not self.calls:
            self.drain()
            self.close()
        elif quiet_s > idle_s and self._pinged_at is None:
            self._pinged_at = now
            self._http.ping()
            self._flush()
