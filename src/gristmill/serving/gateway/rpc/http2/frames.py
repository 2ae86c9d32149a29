"""HTTP/2 frames as bytes (RFC 9113, sections 4 and 6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = struct.Struct(">IBI")  # length and type in one, flags, stream
MAX_FRAME_BYTES = 16_384  # of a payload, unless settings say otherwise
DEFAULT_WINDOW = 65_535
MAX_WINDOW = 2**31 - 1
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
_PADDED, _PRIORITY = 0x8, 0x20
_SETTING = struct.Struct(">HI")
_DATA = 0


class Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Code(IntEnum):
    """Why a stream or a connection ends (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class ConnectionFault(Exception):
    """The peer broke a rule that the whole connection hangs on."""

    def __init__(self, code: Code, says: str) -> None:
        super().__init__(says)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def data_frames(stream: int, body: bytes | memoryview, most: int) -> Iterator[bytes | memoryview]:
    """Heads and payloads in turn, of at most `most` bytes each."""
    for start in range(0, len(body), most):
        part = body[start : start + most]
        yield HEAD.pack(len(part) << 8 | _DATA, 0, stream)
        yield part


def window_update(stream: int, count: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, 0, stream, count.to_bytes(4, "big"))


def reset(stream: int, code: Code) -> bytes:
    return frame(Kind.RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def go_away(last_stream: int, code: Code, says: str = "") -> bytes:
    return frame(Kind.GOAWAY, 0, 0, last_stream.to_bytes(4, "big") + code.to_bytes(4, "big") + says.encode())


def settings(values: Mapping[Setting, int]) -> bytes:
    return frame(Kind.SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in values.items()))


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Raises ConnectionFault for a value that no peer may ask for."""
    if len(payload) % _SETTING.size:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "A setting has six bytes.")
    for name, value in _SETTING.iter_unpack(payload):
        if name == Setting.INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "The initial window is too large.")
        if name == Setting.MAX_FRAME_SIZE and not MAX_FRAME_BYTES <= value < 2**24:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "The frame size is out of range.")
        yield name, value


def increment(payload: bytes) -> int:
    """Of a WINDOW_UPDATE; 0 is a fault that the caller judges."""
    if len(payload) != 4:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "A window update has four bytes.")
    return int.from_bytes(payload, "big") & MAX_WINDOW


def unpadded(flags: int, payload: bytes) -> bytes:
    """Without padding. Raises ConnectionFault when it would be longer than the payload."""
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "The padding is longer than its frame.")
    return payload[1 : len(payload) - payload[0]]


def header_fragment(flags: int, payload: bytes) -> bytes:
    """The header block's part in a HEADERS frame; priorities are not kept (RFC 9113, 5.3)."""
    fragment = unpadded(flags, payload)
    if not flags & _PRIORITY:
        return fragment
    if len(fragment) < 5:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "A priority has five bytes.")
    return fragment[5:]
