"""The Open Inference Protocol's dtypes and how they lie in memory: little-endian, row-major."""

from __future__ import annotations

from typing import Any

import numpy as np

NUMPY: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
ITEM_BYTES: dict[str, int] = {name: dtype.itemsize for name, dtype in NUMPY.items()} | {"BF16": 2}
FLOATS = frozenset(("FP16", "BF16", "FP32", "FP64"))
INTEGERS = frozenset(name for name in NUMPY if "INT" in name)
BINARY_ONLY = frozenset(("FP16", "BF16"))  # clients refuse them in JSON, each the one or the other
BYTES = "BYTES"  # strings: u32 length, then the bytes, one after the other
KNOWN = frozenset((*ITEM_BYTES, BYTES))
