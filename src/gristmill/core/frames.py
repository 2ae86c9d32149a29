"""Frames over a Unix socket: 12 bytes of lengths, a msgpack header, raw bytes. Pickle crosses no boundary."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import msgspec

from gristmill.core.errors import Malformed

_LENGTHS = struct.Struct("<IQ")  # header bytes, body bytes
MAX_HEADER_BYTES = 16 * 2**20
MAX_BODY_BYTES = 2 * 2**30
_pack = msgspec.msgpack.Encoder().encode


def encode(header: Any, *parts: bytes | bytearray | memoryview) -> list[bytes | bytearray | memoryview]:
    """The buffers of one frame, for `writelines` or `sendmsg`; the parts are not copied. Parts are byte-sized views."""
    packed = _pack(header)
    return [_LENGTHS.pack(len(packed), sum(map(len, parts))) + packed, *parts]


def _lengths(prefix: bytes | bytearray) -> tuple[int, int]:
    header, body = _LENGTHS.unpack(prefix)
    if header > MAX_HEADER_BYTES or body > MAX_BODY_BYTES:
        raise Malformed("A frame on a socket is larger than a frame may be.")
    return header, body


async def read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next frame's (header, body). Raises asyncio.IncompleteReadError at the end of the stream."""
    header, body = _lengths(await reader.readexactly(_LENGTHS.size))
    return await reader.readexactly(header), await reader.readexactly(body) if body else b""


def receive(connection: socket.socket) -> tuple[bytearray, bytearray]:
    """The next frame's (header, body) from a blocking socket. Raises EOFError at the end of the stream."""
    header, body = _lengths(_receive_exactly(connection, _LENGTHS.size))
    return _receive_exactly(connection, header), _receive_exactly(connection, body)


def _receive_exactly(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if count == 0:
            raise EOFError
        view = view[count:]
    return data


def send(connection: socket.socket, header: Any, *parts: bytes | bytearray | memoryview) -> None:
    """Send one frame whole on a blocking socket."""
    buffers = [memoryview(part) for part in encode(header, *parts) if len(part)]
    while buffers:
        sent = connection.sendmsg(buffers[:1000])  # IOV_MAX is 1024
        while buffers and sent >= len(buffers[0]):
            sent -= len(buffers.pop(0))
        if sent:
            buffers[0] = buffers[0][sent:]
