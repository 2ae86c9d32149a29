"""The Open Inference Protocol's dtypes and how they lie in memory: little-endian, row-major."""

from __future__ import annotations

from typing import Any

import numpy as np

from gristmill.core.types import DTYPES

NUMPY: dict[str, np.dtype[Any]] = {name: np.dtype(code) for name, code in DTYPES.items()}
ITEM_BYTES: dict[str, int] = {name: dtype.itemsize for name, dtype in NUMPY.items()} | {"BF16": 2}
FLOATS = frozenset(("FP16", "BF16", "FP32", "FP64"))
INTEGERS = frozenset(name for name in NUMPY if "INT" in name)
BINARY_ONLY = frozenset(("FP16", "BF16"))  # clients refuse them in JSON, each the one or the other
BYTES = "BYTES"  # strings: u32 length, then the bytes, one after the other
KNOWN = frozenset((*ITEM_BYTES, BYTES))
