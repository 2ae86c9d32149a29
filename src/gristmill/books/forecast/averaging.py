"""Where a short curve goes: the average of many shapes, each by how well it explains the curve and how common it is.

    log L(x) = log L(x_n) + log(φ + (1 − φ) · s(x) / s(x_n)) + drift

from the last point x_n on: `s` a family's shape, φ the part of the last loss that stays (the floor), and the drift a
Brownian motion in log x, of larger steps where the curve was young. The drift's size is integrated out (a Student's t
for each shape and φ), so that the forecast is a mixture whose middle and tails are told. What is common was learned
from the 330 curves of LCDB 1.1 (empirical Bayes by EM over families, exponents and floors, smoothed to the densities
below; without the data set that is forecast it foretold nearly as well), and so was the misfit, on few sizes.
"""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from gristmill.books.forecast.curves import FAMILIES

_STAYS = np.asarray([0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.75, 0.85, 0.9, 0.95, 0.98, 1.0])  # φ
_COMMON = {"pow3": 0.55, "pow4": 0.2, "mmf": 0.2, "weibull": 0.05}
_EXPONENT, _EXPONENT_SPREAD = np.log(0.4), 0.8  # of log exponents: a normal
_YOUNGER = 1.0  # variance of the drift by log x grows with (x_n / x) to this power
_MISFIT = 1.5  # the drift to come over the drift so far
_LEAST_DRIFT = 0.015  # of log L by unit of log x: the grids of shapes and φ are no finer
_CELLS = 500  # drawn evenly from the weights of some ten thousand
_BISECTIONS = 30


def average(
    x: np.ndarray, y: np.ndarray, at: float, tails: tuple[float, ...], tested: float | None = None
) -> np.ndarray:
    """Quantiles `tails` of log loss at `at` ≥ x_n, from points `x`, `y` [n], positive, x rising, n ≥ 3.

    `tested`: rows of which `y` is the share that is wrong; the last point and the one foretold are as uncertain as
    shares of so many rows are (binomial).
    """
    middles, spreads = _mixture(x, y, at)
    if tested:
        spreads = np.sqrt(spreads**2 + _chance(np.exp(middles), tested) + _chance(y[-1], tested))
    return _quantiles(middles, spreads, len(x) - 1, np.asarray(tails))


def _chance(share: np.ndarray, rows: float) -> np.ndarray:
    """Variance of the log of a share of so many rows; of one in all where it is less."""
    share = np.clip(share, 1 / rows, 1.0)
    return np.asarray((1 - share) / (share * rows))


def _mixture(x: np.ndarray, y: np.ndarray, at: float) -> tuple[np.ndarray, np.ndarray]:
    """Middles and spreads [cells] of Student's t with n − 1 degrees of freedom, each cell of the same weight."""
    shapes = np.concatenate([family.shape(np.append(x, at) / x[-1], family.grid) for family in FAMILIES])
    shapes = np.maximum(shapes, 1e-300) / np.maximum(shapes[:, -2:-1], 1e-300)
    falls = np.log(np.maximum(_STAYS[:, None, None] + (1 - _STAYS[:, None, None]) * shapes, 1e-9))
    log_x = np.log(x / x[-1])
    variances = np.diff(log_x) * np.exp(-_YOUNGER * (log_x[1:] + log_x[:-1]) / 2)
    steps = (np.diff(np.log(y)) - np.diff(falls[..., :-1], axis=-1)) ** 2 / variances
    drift = np.maximum(steps.sum(axis=-1), (len(x) - 1) * _LEAST_DRIFT**2)
    log_weights = (_prior() - 0.5 * (len(x) - 1) * np.log(drift)).ravel()
    spreads = _MISFIT * np.sqrt(drift / (len(x) - 1) * max(np.log(at / x[-1]), 1e-6))
    middles = np.log(y[-1]) + falls[..., -1].ravel()
    order = np.argsort(middles)
    places = np.searchsorted(np.cumsum(special.softmax(log_weights)[order]), (np.arange(_CELLS) + 0.5) / _CELLS)
    drawn = order[np.minimum(places, len(order) - 1)]
    return middles[drawn], spreads.ravel()[drawn]


def _prior() -> np.ndarray:
    """Log weights [φ, shapes]: of each family alike over its second parameter."""
    by_shape = [
        np.log(_COMMON[family.name] / len(family.grid))
        + stats.norm.logpdf(family.grid[:, 0], _EXPONENT, _EXPONENT_SPREAD)
        for family in FAMILIES
    ]
    inside = np.clip(_STAYS, 0.004, 0.996)
    stays = 0.12 * stats.beta.pdf(inside, 1, 25) + 0.23 + 0.65 * stats.beta.pdf(inside, 7, 1.3)
    return np.asarray(np.log(stays * np.gradient(_STAYS))[:, None] + np.concatenate(by_shape))


def _quantiles(middles: np.ndarray, spreads: np.ndarray, freedom: int, tails: np.ndarray) -> np.ndarray:
    """By bisection of the mixture's distribution."""
    low = np.full(len(tails), (middles - 30 * spreads).min())
    high = np.full(len(tails), (middles + 30 * spreads).max())
    for _ in range(_BISECTIONS):
        half = (low + high) / 2
        below = special.stdtr(freedom, (half[:, None] - middles) / spreads).mean(axis=1) < tails
        low, high = np.where(below, half, low), np.where(below, high, half)
    return np.asarray((low + high) / 2)
