"""A stream's bytes as gRPC's length-prefixed messages, and back."""

from __future__ import annotations

import grpc

from gristmill.core.errors import GristmillError, TooLarge
from gristmill.serving.gateway.body import inflate

_PREFIX = 5  # a flag and a length of four bytes
_ENCODINGS = (b"gzip", b"deflate")


class Unreadable(Exception):
    """No message can come of these bytes: the call ends with `code`."""

    def __init__(self, code: grpc.StatusCode, says: str) -> None:
        super().__init__(says)
        self.code = code
        self.says = says


class MessageReader:
    """Takes a stream's bytes as they come; `held` of them wait for the rest of their message."""

    def __init__(self, limit: int, encoding: bytes | None) -> None:
        self._limit = limit  # bytes of a message, as sent and inflated
        self._encoding = encoding
        self._parts: list[bytes] = []
        self._needed = _PREFIX
        self.held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. Raises Unreadable as soon as one says that it is too large."""
        self._parts.append(data)
        self.held += len(data)
        if self.held < self._needed:
            return []
        whole = data if len(self._parts) == 1 else b"".join(self._parts)
        found, at = [], 0
        while len(whole) - at >= (needed := self._length(whole, at)):
            found.append(self._message(whole, at, at + needed))
            at += needed
        self._needed = needed
        self._parts = [whole[at:]] if at < len(whole) else []
        self.held = len(whole) - at
        return found

    def _length(self, whole: bytes, at: int) -> int:
        """Of the message at `at` with its prefix; of the prefix while that is not whole."""
        if len(whole) - at < _PREFIX:
            return _PREFIX
        size = int.from_bytes(whole[at + 1 : at + _PREFIX], "big")
        if size > self._limit:
            raise Unreadable(grpc.StatusCode.RESOURCE_EXHAUSTED, _too_large(self._limit))
        return _PREFIX + size

    def _message(self, whole: bytes, start: int, stop: int) -> bytes:
        flag, body = whole[start], whole[start + _PREFIX : stop]
        if flag == 0:
            return body
        if flag != 1 or self._encoding not in _ENCODINGS:
            raise Unreadable(grpc.StatusCode.INTERNAL, "The message is compressed, and no grpc-encoding says how.")
        try:
            return inflate(body, self._encoding, self._limit)
        except TooLarge:
            raise Unreadable(grpc.StatusCode.RESOURCE_EXHAUSTED, _too_large(self._limit)) from None
        except GristmillError as error:
            raise Unreadable(grpc.StatusCode.INTERNAL, str(error)) from None


def known_encoding(encoding: bytes | None) -> bool:
    return encoding is None or encoding == b"identity" or encoding in _ENCODINGS


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def _too_large(limit: int) -> str:
    return f"The message is larger than the {limit} bytes that are taken."
