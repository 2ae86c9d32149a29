"""The header of a `.gguf` file, read within the file's own bounds: a stranger's counts and sizes are claims.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gristmill.core.errors import CorruptBundle, Unprocessable

GGUF = "model.gguf"  # in a bundle's weights
MAGIC = b"GGUF"
_SCALARS = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "|b1", 10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_MOST_DIMENSIONS = 4
_LEAST_STRING, _LEAST_ENTRY, _LEAST_TENSOR = 8, 13, 32  # bytes that one takes at least


class GgufTensor(NamedTuple):
    name: str
    shape: tuple[int, ...]  # the fastest dimension first
    kind: int  # ggml's number of the type
    offset: int  # from the beginning of the data
    size: int  # bytes


class GgufHeader(NamedTuple):
    metadata: dict[str, Any]  # arrays as lists
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture") or "")

    @property
    def parameters(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.tensors)


def is_gguf(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def read_header(path: Path) -> GgufHeader:
    """Raises CorruptBundle when a count or size does not fit the file, Unprocessable for what is not read."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _read(data)
        except (struct.error, UnicodeDecodeError, _TooShort):
            raise CorruptBundle("The GGUF file's header is cut short, or says sizes that the file does not have.",
                                file=path.name) from None  # fmt: skip


class _TooShort(Exception):
    pass


class _Cursor:
    def __init__(self, data: mmap.mmap) -> None:
        self._data, self.at = data, 4

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self.at:
            raise _TooShort
        self.at += size
        return self._data[self.at - size : self.at]

    def count(self, least: int) -> int:
        """A number of things of which each takes `least` bytes."""
        number: int = self.number("<Q")
        if number * least > len(self._data) - self.at:
            raise _TooShort
        return number

    def number(self, form: str) -> Any:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return value

    def text(self) -> str:
        return self.take(self.count(1)).decode("utf-8", "strict")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise _TooShort
        return np.frombuffer(self.take(np.dtype(_SCALARS[kind]).itemsize), _SCALARS[kind])[0].item()

    def _array(self) -> list[Any]:
        kind = self.number("<I")
        if kind == _STRING:
            return [self.text() for _ in range(self.count(_LEAST_STRING))]
        if kind not in _SCALARS:
            raise _TooShort
        width = np.dtype(_SCALARS[kind]).itemsize
        values: list[Any] = np.frombuffer(self.take(self.count(width) * width), _SCALARS[kind]).tolist()
        return values


def _read(data: mmap.mmap) -> GgufHeader:
    cursor = _Cursor(data)
    version = cursor.number("<I")
    if version not in (2, 3):
        raise Unprocessable(
            f"GGUF version {version} is not read: versions 2 and 3, little-endian, are.", field="source"
        )
    tensors, entries = cursor.count(_LEAST_TENSOR), cursor.count(_LEAST_ENTRY)
    metadata = {}
    for _ in range(entries):
        name = cursor.text()
        metadata[name] = cursor.value(cursor.number("<I"))
    if metadata.get("split.count", 1) not in (0, 1):
        raise Unprocessable("The GGUF file is one part of several: join them with `llama-gguf-split --merge`.",
                            field="source")  # fmt: skip
    found = tuple(_tensor(cursor) for _ in range(tensors))
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise _TooShort
    begin = -(-cursor.at // alignment) * alignment
    if any(begin + tensor.offset + tensor.size > len(data) for tensor in found):
        raise _TooShort
    return GgufHeader(metadata, found)


def _tensor(cursor: _Cursor) -> GgufTensor:
    name, dimensions = cursor.text(), cursor.number("<I")
    if dimensions > _MOST_DIMENSIONS:
        raise _TooShort
    shape = tuple(cursor.number("<Q") for _ in range(dimensions))
    kind, offset = cursor.number("<I"), cursor.number("<Q")
    return GgufTensor(name, shape, kind, offset, _size(math.prod(shape), kind))


def _size(elements: int, kind: int) -> int:
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    except (KeyError, ValueError):
        raise Unprocessable(f"The GGUF file has tensors of the unknown type {kind}.", field="source") from None
    return int(-(-elements // block) * size)
