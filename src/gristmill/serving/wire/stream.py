"""Frames cut from a byte stream without I/O, for a protocol that is fed by an event loop."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gristmill.core.errors import Malformed
from gristmill.core.frames import MAX_BODY_BYTES, MAX_HEADER_BYTES

_LENGTHS = struct.Struct("<IQ")  # as core.frames writes them


class FrameStream:
    """Feed it bytes as they come; it gives (header, body) of each frame that is whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = _LENGTHS.size

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The frames that `data` completes. Raises Malformed on a frame beyond the limits."""
        self._buffer += data
        while len(self._buffer) >= self._needed:
            header_size, body_size = _LENGTHS.unpack_from(self._buffer)
            if header_size > MAX_HEADER_BYTES or body_size > MAX_BODY_BYTES:
                raise Malformed("A frame on a socket is larger than a frame may be.")
            header_end = _LENGTHS.size + header_size
            end = header_end + body_size
            if len(self._buffer) < end:
                self._needed = end
                return
            view = memoryview(self._buffer)
            header, body = bytes(view[_LENGTHS.size : header_end]), bytes(view[header_end:end])
            view.release()
            del self._buffer[:end]
            self._needed = _LENGTHS.size
            yield header, body
