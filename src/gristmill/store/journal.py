"""The usage journal: an append-only file of records, framed by length and CRC-32, in segments.

Written by one gateway before the answer's last byte; read by the controller's shipper. A write(2) that has returned
survives a kill -9 of its process; `fsync` makes it survive a power cut too.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from gristmill.core.errors import StorageFull
from gristmill.core.faults import fault_point
from gristmill.core.files import full_disk_is_said
from gristmill.core.types import UsageRecord

_FRAME = struct.Struct("<II")  # payload bytes, crc32 of the payload
_OFFSET_BITS = 40
_MAX_RECORD_BYTES = 2**20
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
            file.seek(offset)
            while len(records) < limit and (payload := _payload(file.read(_FRAME.size), file.read)) is not None:
                records.append(_decode(payload))
                offset += _FRAME.size + len(payload)
        position = number << _OFFSET_BITS | offset
        if len(records) == limit:
            break
    return records, position


def prune(folder: Path, position: int) -> None:
    """Delete the segments that lie wholly before `position`."""
    for number in _segments(folder):
        if number < position >> _OFFSET_BITS:
            (folder / _name(number)).unlink(missing_ok=True)


def _framed(record: UsageRecord) -> bytes:
    payload = _encode(record)
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _payload(prefix: bytes, read: Callable[[int], bytes]) -> bytes | None:
    if len(prefix) < _FRAME.size:
        return None
    length, checksum = _FRAME.unpack(prefix)
    if length > _MAX_RECORD_BYTES:
        return None
    payload = read(length)
    return payload if len(payload) == length and zlib.crc32(payload) == checksum else None


def _segments(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.journal") if path.stem.isdigit())


def _name(number: int) -> str:
    return f"{number:08d}.journal"
