"""Tensors as bytes: the binary form of the Open Inference Protocol, which is also the form on our own sockets."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from gristmill.core.errors import Malformed
from gristmill.serving.wire.dtypes import BYTES, NUMPY

Buffer = bytes | bytearray | memoryview
_U32 = struct.Struct("<I")


def encode_strings(items: Iterable[bytes]) -> bytes:
    """BYTES elements as u32 length + bytes each."""
    return b"".join([_U32.pack(len(item)) + item for item in items])


def decode_strings(data: Buffer) -> list[bytes]:
    """The elements of an encoded BYTES tensor. Raises Malformed when a length points past the end."""
    return [bytes(data[start:end]) for start, end in _string_spans(data)]


def count_strings(data: Buffer) -> int:
    """How many elements an encoded BYTES tensor holds, without copying them. Raises Malformed."""
    return sum(1 for _ in _string_spans(data))


def _string_spans(data: Buffer) -> Iterator[tuple[int, int]]:
    at, size = 0, len(data)
    while at < size:
        start = at + 4
        if start > size or (at := start + _U32.unpack_from(data, at)[0]) > size:
            raise Malformed("A BYTES tensor is cut short: an element's length points past the end of its data.")
        yield start, at


def to_array(data: Buffer, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Bytes → array of `shape`; BYTES gives objects, BF16 float32. The numeric ones share memory with `data`."""
    if dtype == BYTES:
        items = np.empty(shape, dtype=object)
        items.ravel()[:] = decode_strings(data)
        return items
    if dtype == "BF16":
        return (np.frombuffer(data, dtype="<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    return np.frombuffer(data, dtype=NUMPY[dtype]).reshape(shape)


def to_bytes(array: np.ndarray, dtype: str) -> Buffer:
    """Array → its bytes as `dtype`; the inverse of `to_array`. Numbers are a view where the array allows it."""
    if dtype == BYTES:
        return encode_strings(item if isinstance(item, bytes) else str(item).encode() for item in array.ravel())
    if dtype == "BF16":
        bits = np.ascontiguousarray(array, dtype="<f4").view("<u4")
        rounded = bits + (0x7FFF + ((bits >> 16) & 1))  # to nearest, ties to even
        return memoryview((rounded >> 16).astype("<u2").ravel()).cast("B")
    contiguous = np.ascontiguousarray(array, dtype=NUMPY[dtype])
    return contiguous.ravel().view(np.uint8).data if contiguous.size else b""


def to_json_values(array: np.ndarray, dtype: str) -> list[Any]:
    """Flat JSON-able values, row-major. BYTES must be UTF-8: raises Malformed otherwise."""
    if dtype != BYTES:
        values: list[Any] = array.ravel().tolist()
        return values
    try:
        return [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel()]
    except UnicodeDecodeError:
        raise Malformed("A BYTES output is not UTF-8 text: ask for it as binary data.") from None
