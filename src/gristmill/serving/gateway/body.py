"""A request's body: bounded while it is read and while it is inflated."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from gristmill.core.errors import Malformed, TooLarge, UnsupportedMediaType

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_WINDOW = {b"gzip": 31, b"deflate": 15}  # zlib's wbits; "deflate" on the wire is zlib (RFC 9110, 8.4.1.2)


class ClientLeft(Exception):
    """The connection closed before the request was whole or answered; nobody is there to be told."""


async def read(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The whole body, inflated. Raises TooLarge by its declared length before a byte is read, or while reading."""
    declared = headers.get(b"content-length")
    if declared is not None and len(declared) < 20 and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _rest(receive, body, limit)
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.lower() != b"identity":
        return inflate(body, encoding.lower(), limit)
    return body


async def _rest(receive: Receive, first: bytes, limit: int) -> bytes:
    parts, size = [first], len(first)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def inflate(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Raises TooLarge as soon as the result would pass `limit`, Malformed, UnsupportedMediaType."""
    if encoding not in _WINDOW:
        raise UnsupportedMediaType("Content-Encoding may be gzip or deflate.", got=encoding.decode("latin-1"))
    inflater = zlib.decompressobj(_WINDOW[encoding])
    try:
        data = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise Malformed(f"The body is not valid {encoding.decode()} data.") from None
    if len(data) > limit:
        raise _too_large(limit)
    if not inflater.eof:
        raise Malformed(f"The body's {encoding.decode()} data is cut short.")
    return data


def deflate(body: bytes, accepted: bytes) -> tuple[bytes, bytes | None]:
    """Compress by `accept-encoding`: (body, encoding), encoding None when it stays as it is."""
    for encoding in (b"gzip", b"deflate"):
        if encoding in accepted:
            compressor = zlib.compressobj(1, zlib.DEFLATED, _WINDOW[encoding])
            return compressor.compress(body) + compressor.flush(), encoding
    return body, None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than the {limit} bytes that are taken.", expected=limit)
