"""Models whose batch is fixed at one row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gristmill.tasks.protocol import Tensors


def row_by_row(compute: Callable[[Tensors], list[np.ndarray]], inputs: Tensors) -> list[np.ndarray]:
    """The outputs [N, ...] of N calls with one row each."""
    rows = len(next(iter(inputs.values())))
    parts = [compute({name: values[row : row + 1] for name, values in inputs.items()}) for row in range(rows)]
    return [np.concatenate(values) for values in zip(*parts, strict=True)]
