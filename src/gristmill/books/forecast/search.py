"""More search: the expected best of k runs of a recipe that differ in seed and searched fields alone.

Dodge et al., "Show Your Work: Improved Reporting of Experimental Results" (EMNLP 2019), section 3: the expected lowest
of k draws, with replacement, from the errors of the runs that there are.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

LEAST_RUNS = 5
SEARCH = "search"
_TAILS = (0.025, 0.975)


class Tried(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Errors of the runs of one recipe, and what one more such run costs."""

    errors: list[float]
    cost: float


class Best(NamedTuple):
    """The expected lowest error of `runs` runs, with its 95 % interval."""

    runs: int
    value: float
    low: float
    high: float


def expected_best(errors: np.ndarray, runs: float) -> np.ndarray:
    """[...] of `errors` [..., n]: Σ e_(i) · (((n − i + 1) / n)^k − ((n − i) / n)^k), e_(1) the lowest."""
    left = np.arange(errors.shape[-1], -1, -1) / errors.shape[-1]
    return np.asarray(np.sort(errors, axis=-1) @ (left[:-1] ** runs - left[1:] ** runs))


def bests(tried: Tried, draws: int) -> tuple[Best, ...]:
    """Of 1, 2, 4, … runs up to twice as many as there are."""
    errors, again = np.asarray(tried.errors), _resampled(tried, draws)
    found = []
    runs = 1
    while runs <= 2 * len(errors):
        low, high = np.quantile(expected_best(again, runs), _TAILS)
        found.append(Best(runs, *map(float, (expected_best(errors, runs), low, high))))
        runs *= 2
    return tuple(found)


def gains(tried: Tried, runs: float, draws: int) -> tuple[float, np.ndarray]:
    """What `runs` more runs take off the expected lowest error, and over `draws` resampled histories [draws]."""
    now = len(tried.errors)
    errors, again = np.asarray(tried.errors), _resampled(tried, draws)
    value = expected_best(errors, now) - expected_best(errors, now + runs)
    draws = expected_best(again, now) - expected_best(again, now + runs)
    return max(float(value), 0.0), np.maximum(draws, 0.0)  # rounding alone goes below


def _resampled(tried: Tried, draws: int, seed: int = 0) -> np.ndarray:
    """Errors [draws, n], drawn with replacement."""
    return np.random.default_rng(seed).choice(tried.errors, (draws, len(tried.errors)))
