"""Header blocks (HPACK, RFC 7541): read with a memory for those that come again, written without a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote

from hpack import Decoder
from hpack.exceptions import HPACKError

from gristmill.serving.gateway.rpc.http2.frames import Code, ConnectionFault

MAX_HEADER_BYTES = 16_384  # of a request's names and values
_REMEMBERED = 64
_MESSAGE_SAFE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
Headers = Mapping[bytes, bytes]


class HeaderReader:
    """One connection's decoder.

    A block that left the table as it was means the same as long as the table stays: clients whose headers do not
    change send the same few bytes with each request.
    """

    def __init__(self) -> None:
        self._decoder = Decoder(MAX_HEADER_BYTES)
        self._known: dict[bytes, Headers] = {}

    def read(self, block: bytes) -> Headers:
        """By name, in lower case; of two with one name the last. Raises ConnectionFault: the table is lost then."""
        known = self._known.get(block)
        if known is not None:
            return known
        table = self._decoder.header_table
        before = (len(table.dynamic_entries), table.maxsize, _newest(table.dynamic_entries))
        try:
            headers: Headers = {bytes(name): bytes(value) for name, value in self._decoder.decode(block, raw=True)}
        except HPACKError as error:
            raise ConnectionFault(Code.COMPRESSION_ERROR, f"The headers cannot be read: {error}") from None
        entries = table.dynamic_entries
        if (len(entries), table.maxsize) != before[:2] or _newest(entries) is not before[2]:
            self._known.clear()
        elif len(self._known) < _REMEMBERED:
            self._known[block] = headers
        else:
            self._known.clear()
        return headers


def _newest(entries: Iterable[object]) -> object:
    return next(iter(entries), None)


def block(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Literals without indexing: the peer's table stays empty."""
    return b"".join([_name(name) + _length(value) + value for name, value in pairs])


@lru_cache(256)
def _name(name: bytes) -> bytes:
    return b"\0" + _length(name) + name


def _length(text: bytes) -> bytes:
    """An integer with a prefix of 7 bits (RFC 7541, 5.1)."""
    rest = len(text) - 127
    if rest < 0:
        return bytes((len(text),))
    digits = [127]
    while rest >= 128:
        digits.append(rest % 128 + 128)
        rest //= 128
    return bytes((*digits, rest))


def percent_encoded(says: str) -> bytes:
    """As `grpc-message` has it."""
    return quote(says, safe=_MESSAGE_SAFE).encode()


_STATUS_200 = b"\x88"  # in the static table
RESPONSE = _STATUS_200 + block(
    [(b"content-type", b"application/grpc"), (b"grpc-accept-encoding", b"identity,deflate,gzip")]
)
OK = block([(b"grpc-status", b"0")])
