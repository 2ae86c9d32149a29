"""How many rows a model computes at once: one where its batch is fixed, few where gradients of large ones are kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gristmill.tasks.protocol import ModelOutput, Tensors

_GRADIENT_ROWS = 64
# a backward pass keeps every layer's values: EfficientNet-Lite0 60 MB for a picture of 0.6 MB
_GRADIENT_BYTES = 2 * 2**20


def gradient_rows(row_bytes: int) -> int:
    """How many rows of so many bytes, at what is differentiated, a gradient is taken of at once."""
    return max(1, min(_GRADIENT_ROWS, _GRADIENT_BYTES // max(1, row_bytes)))


def row_by_row(compute: Callable[[Tensors], ModelOutput], inputs: Tensors) -> ModelOutput:
    """What N calls with one row each give, as one output [N, ...] or several by name."""
    rows = len(next(iter(inputs.values())))
    parts = [compute({name: values[row : row + 1] for name, values in inputs.items()}) for row in range(rows)]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if arrays:
        return np.concatenate(arrays)
    named = [part for part in parts if isinstance(part, dict)]
    return {name: np.concatenate([part[name] for part in named]) for name in named[0]}
