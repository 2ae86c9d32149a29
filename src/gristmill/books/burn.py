"""How fast money is used, and when what is left will be gone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, variance
from typing import NamedTuple

_FEWEST_DAYS = 7  # one whole week: its days differ
_QUANTILE = 0.975


class Exhaustion(NamedTuple):
    """Days until nothing is left, and the 95 % interval around it; None: not known, or never."""

    days: float | None
    earliest: float | None
    latest: float | None


def exhaustion(left: int, daily: Sequence[int]) -> Exhaustion:
    """When `left` micro-units are used up, from what was used on each of the last days.

    The sum of T further days is mean·T ± t·s·√(T + T²/n), Student's prediction interval of days that are independent
    and alike; the bounds are where it meets `left`. No interval from fewer than 7 days.
    """
    mean = fmean(daily) if daily else 0.0
    if left <= 0 or mean <= 0:
        return Exhaustion(0.0 if left <= 0 else None, None, None)
    if len(daily) < _FEWEST_DAYS:
        return Exhaustion(left / mean, None, None)
    spread = student_t(_QUANTILE, len(daily) - 1) ** 2 * variance(daily)
    return Exhaustion(left / mean, *_bounds(float(left), mean, spread, len(daily)))


def student_t(probability: float, freedom: int) -> float:
    """Quantile of Student's t within 0.2 % from 6 degrees of freedom on (Abramowitz and Stegun, 26.7.5)."""
    z = NormalDist().inv_cdf(probability)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _bounds(left: float, mean: float, spread: float, days: int) -> tuple[float, float | None]:
    """Both T of (left - mean·T)² = spread·(T + T²/days); the later is none where the mean may well be zero."""
    a, half_b = mean**2 - spread / days, left * mean + spread / 2
    root = math.sqrt(max(0.0, half_b**2 - a * left**2))
    earliest = left**2 / (half_b + root)  # the smaller root, without the cancellation of half_b - root
    return earliest, (half_b + root) / a if a > 0 else None
