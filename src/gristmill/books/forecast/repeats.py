"""What rows seen again are worth: R* of D' = U + U·R*·(1 − e^(−R/R*)), from the runs that repeat, or as published.

Muennighoff et al., "Scaling Data-Constrained Language Models" (2023), equation 5. The law is fitted again at each R* of
a grid and of a finer one (profile); the interval is the one of its best place over resampled runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gristmill.books.forecast import scaling
from gristmill.books.forecast.compute import R_STAR, effective_data
from gristmill.core.types import Basis

_GRID = np.geomspace(0.5, 500, 19)
_STEP = float(_GRID[1] / _GRID[0])
_DRAWS = 60
_LEAST_RUNS, _LEAST_REPEATS = 6, 1.0  # of a run that counts as one that repeats
_TAILS = (0.025, 0.975)


class Repeats(NamedTuple):
    """`basis`: modelled where fitted, with its 95 % interval; assumed where published, and `refused` says why."""

    r_star: float
    low: float | None
    high: float | None
    basis: Basis
    refused: str | None


def repeats(names: Sequence[str], x: np.ndarray, column: int, unique: np.ndarray, loss: np.ndarray) -> Repeats:
    """`x` [n, inputs] with rows seen in `column`, `unique` [n] of them. Raises Unprocessable as scaling.fit does."""
    counted = int((x[:, column] / np.minimum(unique, x[:, column]) - 1 >= _LEAST_REPEATS).sum())
    if counted < _LEAST_RUNS:
        return _published(f"{counted} runs see their rows twice or more, and {_LEAST_RUNS} are needed")
    law = scaling.fit(names, worth(x, column, unique, R_STAR), loss, bootstraps=0).law
    weights = np.concatenate([np.ones((1, len(loss))), scaling.resampled(len(loss), _DRAWS, 2 * len(names) + 2, 0)])

    def lowest(grid: np.ndarray) -> np.ndarray:
        values = [scaling.refit(law, worth(x, column, unique, r_star), loss, weights) for r_star in grid]
        return _lowest(np.log(grid), np.asarray(values))

    low, high = np.quantile(lowest(_GRID)[1:], _TAILS)
    if low <= _GRID[0] or high >= _GRID[-1]:
        return _published(f"these runs do not tell it: {low:.3g} to {high:.3g} fit as well")
    places = np.log(lowest(np.geomspace(low / _STEP, high * _STEP, len(_GRID))))
    wider = np.sqrt(len(loss) / (len(loss) - 2 * len(names) - 2))  # residuals are smaller than errors: scaling.fit
    low, high = np.exp(places[0] + (np.quantile(places[1:], _TAILS) - places[0]) * wider)
    return Repeats(float(np.exp(places[0])), float(low), float(high), Basis.modelled, None)


def _published(reason: str) -> Repeats:
    return Repeats(R_STAR, None, None, Basis.assumed, reason)


def worth(x: np.ndarray, column: int, unique: np.ndarray, r_star: float) -> np.ndarray:
    """x [n, inputs] with what the rows seen of `column` are worth, as unique ones."""
    changed = x.copy()
    changed[:, column] = effective_data(x[:, column], unique, r_star)
    return changed


def _lowest(grid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """R* [b] where `values` [grid, b] are lowest: of a parabola in log R* through the best place and its neighbours."""
    found = []
    for column in values.T:
        best = int(np.argmin(column))
        shift = 0.0
        if 0 < best < len(grid) - 1:
            before, here, after = column[best - 1 : best + 2]
            bend = before - 2 * here + after
            shift = float(0.5 * (before - after) / bend) if bend > 0 else 0.0
        found.append(np.exp(grid[best] + shift * (grid[1] - grid[0])))
    return np.asarray(found)
