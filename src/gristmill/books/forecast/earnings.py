"""From quality to money, where the books show it: what each version earned a day against how good it was.

A straight line through the versions by least squares, with Student's t for its slope. It says what went together in
these books, and is taken for a relation only where its 95 % interval lies above nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from gristmill.books.forecast.question import Earned

LEAST_VERSIONS = 5  # three more than a line has parameters
_LEAST_QUALITIES = 3
_TAIL = 0.975


class Earnings(NamedTuple):
    """More money a day for each `point` of error less, with its 95 % interval; `refused` says why there is none."""

    versions: int
    point: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    refused: str | None = None


def earnings(earned: Sequence[Earned], point: float) -> Earnings:
    """`point`: of error, as 0.01 of accuracy."""
    reason = _lacking(earned)
    if reason is not None:
        return Earnings(len(earned), point, refused=reason)
    line = _line(earned)
    half = stats.t.ppf(_TAIL, len(earned) - 2) * line.stderr
    value, low, high = (float(part * point) for part in (line.slope, line.slope - half, line.slope + half))
    if low > 0:
        return Earnings(len(earned), point, value, low, high)
    reason = (
        f"the books do not show that better versions earned more: {value:.4g} [{low:.4g}, {high:.4g}] a point a day"
    )
    return Earnings(len(earned), point, value, low, high, reason)


def slopes(earned: Sequence[Earned], draws: int, seed: int = 0) -> np.ndarray:
    """Money a day for a unit of error less [draws], as uncertain as the line is."""
    line = _line(earned)
    t = np.random.default_rng(seed).standard_t(len(earned) - 2, draws)
    return np.asarray(line.slope + t * line.stderr)


def _line(earned: Sequence[Earned]) -> Any:
    return stats.linregress([-one.error for one in earned], [one.per_day for one in earned])


def _lacking(earned: Sequence[Earned]) -> str | None:
    if len(earned) < LEAST_VERSIONS:
        return (
            f"{len(earned)} tested versions earned money on days that were theirs alone, and {LEAST_VERSIONS} are "
            "needed to see what quality earns"
        )
    if len({one.error for one in earned}) < _LEAST_QUALITIES:
        return f"the versions that earned money have fewer than {_LEAST_QUALITIES} different qualities"
    return None
