"""Whether a law has the shape of the runs at all: what it leaves should be noise, and bend with no input."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
from scipy import stats

from gristmill.books.forecast.scaling import Fit

_LEVEL = 1e-4  # of a law that fits one in so many is suspected
_LEAST = 0.3  # of the spread: less is no matter beside the noise
_FARTHEST = 4.0  # of the residuals' usual size: one bad run is no pattern
_NORMAL = 1.4826  # of a normal distribution, its standard deviation over its median absolute deviation


def pattern(fit: Fit, x: np.ndarray) -> float | None:
    """The share of what the law leaves that bends with log x [n, inputs]; None where it may be chance, or is small.

    By an F test of the squares and products of log x (of one input the cube too), residuals clipped.
    """
    u = np.log(x)
    u = (u - u.mean(axis=0)) / u.std(axis=0)
    columns = [u[:, [*place]].prod(axis=1) for place in combinations_with_replacement(range(u.shape[1]), 2)]
    columns += [u[:, 0] ** 3] if u.shape[1] == 1 else []
    design = np.column_stack([np.ones(len(u)), u, *columns])
    spare = len(u) - design.shape[1]
    usual = _NORMAL * float(np.median(np.abs(fit.residuals)))
    left = np.clip(fit.residuals, -_FARTHEST * usual, _FARTHEST * usual)
    left = left - left.mean()
    whole = float(left @ left)
    if spare < 1 or whole <= len(u) * np.finfo(float).eps:
        return None
    share = 1 - float(np.sum((left - design @ np.linalg.lstsq(design, left, rcond=None)[0]) ** 2)) / whole
    terms = design.shape[1] - 1
    chance = float(stats.f.sf(share / terms * spare / max(1 - share, 1e-12), terms, spare))
    return share if chance < _LEVEL and share > _LEAST else None


def said(share: float) -> str:
    return (
        f"The law does not have the shape of these runs: {share:.0%} of what it leaves is a pattern and no noise. "
        "Do not rely on its floor, nor on what it says far from the runs."
    )
