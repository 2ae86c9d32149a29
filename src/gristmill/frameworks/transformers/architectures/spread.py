"""The spread of new weights: Transformers' default is made for a width of 768; small models hardly learn from it."""

from __future__ import annotations

import math


def spread(width: int) -> float:
    """Standard deviation: 0.02 at 768, and so much more as the sums have fewer terms (Glorot and Bengio, 2010)."""
    return 0.02 * math.sqrt(768 / width)
