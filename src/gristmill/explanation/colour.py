"""A diverging colour map: blue speaks against the answer, red for it, white says nothing."""

from __future__ import annotations

import numpy as np

# ColorBrewer RdBu, 11 classes (Brewer, 2003), from against to for; readable with red-green blindness
_STOPS = np.array(
    [
        (5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240), (247, 247, 247),
        (253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43), (103, 0, 31),
    ],
    dtype=np.float64,
)  # fmt: skip


def coloured(values: np.ndarray) -> np.ndarray:
    """Values in [-1, 1] of any shape → uint8 [..., 3]."""
    place = (np.clip(values, -1, 1) + 1) / 2 * (len(_STOPS) - 1)
    below = np.minimum(place.astype(int), len(_STOPS) - 2)
    part = (place - below)[..., None]
    mixed = _STOPS[below] * (1 - part) + _STOPS[below + 1] * part
    return np.asarray(np.round(mixed), np.uint8)


def scaled(values: np.ndarray) -> np.ndarray:
    """Values over the largest magnitude, in [-1, 1]; zeros stay zeros."""
    largest = float(np.abs(values).max(initial=0.0))
    return np.asarray(values / largest) if largest > 0 else np.zeros_like(values)
