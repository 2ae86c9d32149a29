"""What gRPC lays over HTTP/2: lengths before messages, deadlines, the status in the trailers (PROTOCOL-HTTP2.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import grpc

from gristmill.core.errors import GristmillError
from gristmill.serving.gateway.body import inflate

Headers = list[tuple[bytes, bytes]]
_PREFIX_BYTES = 5
_UNITS_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_timeout = re.compile(rb"(\d{1,8})([HMSmun])").fullmatch
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")  # what grpc-message need not escape


class Refused(Exception):
    """Bytes that are no message, or none that is taken: the call ends with this status."""

    def __init__(self, code: Any, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class Inbound:
    """The messages of one call, out of its bytes as they come; none is larger than `limit`, nor inflates beyond it."""

    __slots__ = ("_bytes", "_encoding", "_limit")

    def __init__(self, limit: int, encoding: bytes | None) -> None:
        self._bytes = bytearray()
        self._limit = limit
        self._encoding = encoding

    @property
    def waiting(self) -> int:
        """Bytes of a message that is not whole yet."""
        return len(self._bytes)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` makes whole. Raises Refused."""
        if not self._bytes and len(data) >= _PREFIX_BYTES and self._size(data) == len(data) - _PREFIX_BYTES:
            return [self._message(data[0], data[_PREFIX_BYTES:])]  # nearly all: one frame, one message
        self._bytes += data
        whole = []
        while len(self._bytes) >= _PREFIX_BYTES:
            end = _PREFIX_BYTES + self._size(self._bytes)
            if len(self._bytes) < end:
                break
            whole.append(self._message(self._bytes[0], bytes(self._bytes[_PREFIX_BYTES:end])))
            del self._bytes[:end]
        return whole

    def _size(self, data: bytes | bytearray) -> int:
        size = int.from_bytes(data[1:_PREFIX_BYTES], "big")
        if size > self._limit:
            says = f"The message has {size} bytes, more than the {self._limit} that are taken."
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, says)
        return size

    def _message(self, compressed: int, data: bytes) -> bytes:
        if not compressed:
            return data
        if self._encoding not in (b"gzip", b"deflate"):
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "Messages may be compressed with gzip or deflate.")
        try:
            return inflate(data, self._encoding, self._limit)
        except GristmillError as error:
            large = error.status == 413
            raise Refused(
                grpc.StatusCode.RESOURCE_EXHAUSTED if large else grpc.StatusCode.INTERNAL, error.message
            ) from None


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def timeout_s(value: bytes | None) -> float | None:
    """Of the header grpc-timeout; None where there is none that can be read."""
    found = _timeout(value) if value is not None else None
    return int(found[1]) * _UNITS_S[found[2]] if found else None


def trailers(code: Any, details: str, metadata: Iterable[tuple[str, str]]) -> Headers:
    status = [(b"grpc-status", b"%d" % code.value[0])]
    if details:
        status.append((b"grpc-message", quote(details, safe=_PLAIN).encode()))
    status.extend([(name.encode(), value.encode()) for name, value in metadata])
    return status
