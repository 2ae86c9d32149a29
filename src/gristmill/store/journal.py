"""The usage journal: an append-only file of records, framed by length and CRC-32, in segments.

Written by one gateway before the answer's last byte; read by the controller's shipper. A write(2) that has returned
survives a kill -9 of its process; `fsync` makes it survive a power cut too.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import msgspec

from gristmill.core.errors import StorageFull
from gristmill.core.faults import fault_point
from gristmill.core.files import full_disk_is_said
from gristmill.core.types import UsageRecord

_FRAME = struct.Struct("<II")  # payload bytes, crc32 of the payload
_OFFSET_BITS = 40
_SUFFIX = ".journal"
_MAX_RECORD_BYTES = 2**20
_PIECE_BYTES = 2 * _MAX_RECORD_BYTES
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(UsageRecord).decode
_before_append = fault_point("journal.before-append")
_after_append = fault_point("journal.after-append")


class Journal:
    """The writing end. Each one opens a segment of its own after the last that is there."""

    def __init__(self, folder: Path, segment_bytes: int, fsync: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._segment_bytes, self._fsync = folder, segment_bytes, fsync
        self._number = max(_segments(folder), default=-1)
        self._next_segment()

    def append(self, records: Sequence[UsageRecord]) -> None:
        """Append all or none, in one write. Raises StorageFull, after which the journal is as before."""
        data = b"".join(map(_framed, records))
        if self._size and self._size + len(data) > self._segment_bytes:
            self._roll()
        _before_append()
        try:
            with full_disk_is_said():
                if os.write(self._file, data) != len(data):
                    raise StorageFull(
                        "The disk is full: the request was not answered because its use cannot be recorded."
                    )
                if self._fsync:
                    os.fdatasync(self._file)
        except (StorageFull, OSError):
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)
        _after_append()

    def close(self) -> None:
        os.close(self._file)

    def _roll(self) -> None:
        old = self._file
        self._next_segment()
        os.close(old)

    def _next_segment(self) -> None:
        path = self._folder / _name(self._number + 1)
        with full_disk_is_said():
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._number, self._size = self._number + 1, 0


def read_records(folder: Path, position: int, limit: int) -> tuple[list[UsageRecord], int]:
    """Up to `limit` whole records from `position` (segment << 40 | offset) on, and the position after them.

    A torn tail is waited for while its segment is the last, and passed over once a later one exists: its writer died
    before it could answer.
    """
    records: list[UsageRecord] = []
    for number in [number for number in _segments(folder) if number >= position >> _OFFSET_BITS]:
        offset = position & ((1 << _OFFSET_BITS) - 1) if number == position >> _OFFSET_BITS else 0
        with (folder / _name(number)).open("rb") as file:
            for payload in islice(_payloads(file, offset), limit - len(records)):
                records.append(_decode(payload))
                offset += _FRAME.size + len(payload)
        position = number << _OFFSET_BITS | offset
        if len(records) == limit:
            break
    return records, position


def stored_bytes(folder: Path) -> int:
    """Of all its segments: what is posted goes with `prune`."""
    with os.scandir(folder) as files:
        return sum(file.stat().st_size for file in files if file.name.endswith(_SUFFIX))


def prune(folder: Path, position: int) -> None:
    """Delete the segments that lie wholly before `position`."""
    for number in _segments(folder):
        if number < position >> _OFFSET_BITS:
            (folder / _name(number)).unlink(missing_ok=True)


def _framed(record: UsageRecord) -> bytes:
    payload = _encode(record)
    return _FRAME.pack(len(payload), crc32(payload)) + payload


def _payloads(file: BinaryIO, offset: int) -> Iterator[memoryview]:
    """Of the whole frames from `offset` on. Read by the piece: two calls a record took longer than what they read."""
    while True:
        file.seek(offset)
        piece = memoryview(file.read(_PIECE_BYTES))
        begin = 0
        while (payload := _payload(piece, begin)) is not None:
            yield payload
            begin += _FRAME.size + len(payload)
        if not begin:  # the end, or a torn frame: every whole one fits into a piece
            return
        offset += begin


def _payload(piece: memoryview, begin: int) -> memoryview | None:
    if len(piece) - begin < _FRAME.size:
        return None
    length, checksum = _FRAME.unpack_from(piece, begin)
    if length > _MAX_RECORD_BYTES:
        return None
    payload = piece[begin + _FRAME.size : begin + _FRAME.size + length]
    return payload if len(payload) == length and crc32(payload) == checksum else None


def _segments(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def _name(number: int) -> str:
    return f"{number:08d}{_SUFFIX}"
