"""Intervals and paired tests as pure functions. `rng` decides every draw, so that the same seed says the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import sqrt
from typing import NamedTuple

import numpy as np

from gristmill.lab.blocks import block_resamplings

RESAMPLES = 2000
_CELLS_A_CHUNK = 1_000_000  # weights held at once: 4 MB stay in the cache
_Z = 1.959963984540054  # 97.5 % point of the normal distribution

Resampled = Callable[[np.ndarray], np.ndarray]  # weights float32 [N, B] → the statistic of each column [B]


class Interval(NamedTuple):
    """A point estimate with its 95 % interval."""

    value: float
    low: float
    high: float


def resamplings(rows: int, resamples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each row is drawn: float32 [N, B] of chunks whose B sum to `resamples`."""
    chunk = max(1, min(resamples, _CELLS_A_CHUNK // rows))
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        drawn = rng.integers(rows, size=(rows, count), dtype=np.int64)
        drawn *= count
        drawn += np.arange(count)
        yield np.bincount(drawn.reshape(-1), minlength=rows * count).reshape(rows, count).astype(np.float32)


def bootstrap(
    statistics: dict[str, Resampled], rows: int, rng: np.random.Generator, resamples: int = RESAMPLES, block: int = 1
) -> dict[str, np.ndarray]:
    """The bootstrap distribution of each statistic, [resamples], all from the same draws (Efron, 1979).

    With a `block` of more than one, rows that follow each other are drawn together; see lab/blocks.
    """
    chunks: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
    draws = resamplings(rows, resamples, rng) if block == 1 else block_resamplings(rows, resamples, block, rng)
    for weights in draws:
        for name, statistic in statistics.items():
            chunks[name].append(statistic(weights))
    return {name: np.concatenate(parts) for name, parts in chunks.items()}


def percentile(value: float, distribution: np.ndarray) -> Interval:
    """95 % percentile interval; of resamples where the statistic exists."""
    known = distribution[np.isfinite(distribution)]
    low, high = np.quantile(known, (0.025, 0.975)) if len(known) else (value, value)
    return Interval(value, float(low), float(high))


def wilson(hits: int, rows: int) -> Interval:
    """A proportion with its score interval (Wilson, 1927), which stays honest for few rows and near 0 and 1."""
    share = hits / rows
    middle = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    half = _Z / (1 + _Z**2 / rows) * sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p: as many rows that one alone has right would fall to either side by a fair coin (1947)."""
    discordant = only_first + only_second
    term = tail = 1  # binomial coefficients, whole numbers, so that many rows cost no precision
    for right in range(min(only_first, only_second)):
        term = term * (discordant - right) // (right + 1)
        tail += term
    return min(1.0, float(Fraction(2 * tail, 2**discordant)))


def paired_permutation(differences: np.ndarray, rng: np.random.Generator, flips: int = 4999) -> float:
    """Two-sided p of the mean of paired differences when each row's sign is a coin's (Fisher, 1935).

    One is added to both counts, so that p is never 0 (Phipson, Smyth, 2010).
    """
    observed = abs(float(differences.sum()))
    values = differences.astype(np.float32)
    chunk = max(1, _CELLS_A_CHUNK // len(values))
    beyond = 0
    for start in range(0, flips, chunk):
        signs = rng.integers(0, 2, size=(min(chunk, flips - start), len(values)), dtype=np.int8).astype(np.float32)
        sums = 2 * (signs @ values) - values.sum()
        beyond += int((np.abs(sums) >= observed * (1 - 1e-6)).sum())
    return (beyond + 1) / (flips + 1)
