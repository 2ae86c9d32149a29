"""Models whose batch is fixed at one row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gristmill.tasks.protocol import ModelOutput, Tensors


def row_by_row(compute: Callable[[Tensors], ModelOutput], inputs: Tensors) -> ModelOutput:
    """What N calls with one row each give, as one output [N, ...] or several by name."""
    rows = len(next(iter(inputs.values())))
    parts = [compute({name: values[row : row + 1] for name, values in inputs.items()}) for row in range(rows)]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if arrays:
        return np.concatenate(arrays)
    named = [part for part in parts if isinstance(part, dict)]
    return {name: np.concatenate([part[name] for part in named]) for name in named[0]}
