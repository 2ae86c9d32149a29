"""The unit that a loss of numbers is measured in, the same in every framework."""

from __future__ import annotations

import numpy as np


def target_scale(targets: np.ndarray) -> np.ndarray:
    """Standard deviation of training targets, float32 [1]; of several forecast series each its own, [horizon · T]."""
    axes = (0, 1) if targets.ndim == 3 else None
    std = np.atleast_1d(targets.std(axis=axes, dtype=np.float64))
    scale = np.where(std > 0, std, 1.0).astype(np.float32)
    return np.tile(scale, targets.shape[1]) if targets.ndim == 3 else scale
