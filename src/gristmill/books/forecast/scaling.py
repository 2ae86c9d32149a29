"""Scaling laws: L = E + Σ A_j / x_j^α_j, fitted to the logarithm of the loss by a Huber loss (δ = 1e-3), summed.

Hoffmann et al., "Training Compute-Optimal Large Language Models" (2022), approach 3, as Besiroglu et al., "Chinchilla
Scaling: A replication attempt" (2024) corrected it. log L is a log-sum-exp of the terms, so that E and A need no
bounds; α is 10 / (1 + e^-γ); log x is centred for the fit, which takes most of the correlation of A with α away.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from gristmill.books.forecast.descent import descend
from gristmill.core.errors import Unprocessable

DELTA = 1e-3
BOOTSTRAPS = 400
_FLOORS = (0.3, 0.7, 0.95)  # starts of E, as shares of the lowest loss
_EXPONENTS = (0.15, 0.4, 1.0)
_SIZES = (0.3, 1.0)  # starts of all terms together, over what the median loss has above the lowest loss's floor
MOST = 10.0  # an exponent
_STEEPEST, _NOTHING = 500.0, 1e-300  # for exponentials and logarithms to stay finite
_SUNK, _RAISED = 0.02, 0.3  # floors, as shares of the lowest loss
_LEAST_START = 0.01  # an exponent to start from
_LEAST_SPARE = 3  # runs more than parameters
_COLLINEAR = 1e-6  # of the correlation matrix's smallest eigenvalue
_SPAN = 1e-3  # of log x: less is one value


class Law(NamedTuple):
    """L = `floor` + Σ `coefficients`_j / x_j^`exponents`_j, one j for each of `inputs`."""

    inputs: tuple[str, ...]
    floor: float
    coefficients: tuple[float, ...]
    exponents: tuple[float, ...]

    def at(self, x: np.ndarray) -> np.ndarray:
        """Loss [...] at x [..., inputs]."""
        return np.asarray(_losses(np.asarray([self.vector]), x)[0])

    @property
    def vector(self) -> tuple[float, ...]:
        """(E, A_1, α_1, A_2, α_2, …), as a row of `Fit.draws`."""
        pairs = zip(self.coefficients, self.exponents, strict=True)
        return (self.floor, *(value for pair in pairs for value in pair))


class Fit(NamedTuple):
    """`draws` [b, 1 + 2·inputs] are the laws of resampled runs; `residuals` [n] are log L − log of the law."""

    law: Law
    draws: np.ndarray
    residuals: np.ndarray
    objective: float

    def at(self, x: np.ndarray) -> np.ndarray:
        """Losses [b, ...] of every draw at x [..., inputs]."""
        return _losses(self.draws, x)

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Low and high [2, 1 + 2·inputs] of each parameter: percentiles of the draws."""
        return np.asarray(np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2], axis=0))


def fit(inputs: Sequence[str], x: np.ndarray, loss: np.ndarray, *, bootstraps: int = BOOTSTRAPS, seed: int = 0) -> Fit:
    """Fit to runs x [n, inputs] with `loss` [n]. Raises Unprocessable: too few, collinear, not positive and finite."""
    names = tuple(inputs)
    x, loss = np.asarray(x, np.float64), np.asarray(loss, np.float64)
    check(names, x, loss)
    centre = np.log(x).mean(axis=0)
    u, log_loss = np.log(x) - centre, np.log(loss)
    once = np.ones((1, len(loss)))
    ends, values = descend(_Objective(u, log_loss, once), starts(loss, len(names)))
    best = np.argsort(values)[:3]
    ends, values = descend(_Objective(u, log_loss, once), ends[best], 2000, 1e-14)
    free = ends[np.argmin(values)]
    found = _bounded(free[None])[0]
    residuals = log_loss - _log_losses(found[None], u)[0]
    draws = np.empty((0, 1 + 2 * len(names)))
    if bootstraps:
        objective = _Objective(u, log_loss, resampled(len(loss), bootstraps, found.size, seed))
        again = _bounded(_descend_again(objective, free, float(loss.min()), bootstraps))
        draws = _natural(_widened(again, found, len(loss)), centre)
    return Fit(_law(names, _natural(found[None], centre)[0]), draws, residuals, float(values.min()))


def refit(law: Law, x: np.ndarray, loss: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Lowest objective [b] of runs x [n, inputs] weighted by `weights` [b, n], from `law` on."""
    centre = np.log(x).mean(axis=0)
    heights = np.log(np.maximum(law.coefficients, _NOTHING)) - np.asarray(law.exponents) * centre
    bends = [_logit(float(np.clip(one, _LEAST_START, MOST - _LEAST_START))) for one in law.exponents]
    floor = np.log(max(law.floor, _SUNK * float(loss.min())))
    start = np.asarray([floor, *np.column_stack([heights, bends]).ravel()])
    objective = _Objective(np.log(x) - centre, np.log(loss), weights)
    return descend(objective, np.repeat(start[None], len(weights), axis=0))[1]


def _descend_again(objective: _Objective, found: np.ndarray, lowest: float, bootstraps: int) -> np.ndarray:
    """Parameters [bootstraps, p] from the fit on; from a raised floor too, or term, where one sank out of its slope."""
    begin = np.repeat(found[None], bootstraps, axis=0)
    ends, values = descend(objective, begin)
    heights = [0, *range(1, found.size, 2)]
    sunk = [place for place in heights if found[place] < np.log(_SUNK * lowest)]
    if sunk:
        begin[:, sunk] = np.log(_RAISED * lowest)
        begin[:, [place + 1 for place in sunk if place]] = _logit(_EXPONENTS[1])
        others, other_values = descend(objective, begin)
        ends = np.where((other_values < values)[:, None], others, ends)
    return ends


def _widened(draws: np.ndarray, found: np.ndarray, runs: int) -> np.ndarray:
    """A fit's residuals are smaller than the errors, by the parameters that it took: draws lie as much farther off."""
    heights = [0, *range(1, found.size, 2)]
    natural, middle = draws.copy(), found.copy()
    natural[:, heights], middle[heights] = np.exp(draws[:, heights]), np.exp(found[heights])
    wider = middle + (natural - middle) * np.sqrt(runs / (runs - found.size))
    wider[:, heights] = np.log(np.maximum(wider[:, heights], np.maximum(natural[:, heights] / 2, _NOTHING)))
    wider[:, 2::2] = np.clip(wider[:, 2::2], 0, MOST)
    return np.asarray(wider)


def check(names: Sequence[str], x: np.ndarray, loss: np.ndarray) -> None:
    """Raises Unprocessable with the first reason why no law can be fitted to these runs."""
    if not (np.isfinite(x).all() and np.isfinite(loss).all()):
        raise Unprocessable("A value of the runs is not a finite number: leave that run out or correct it.")
    if (x <= 0).any() or (loss <= 0).any():
        raise Unprocessable("A value of the runs is zero or less: a power law needs inputs and losses above zero.")
    needed = 1 + 2 * len(names) + _LEAST_SPARE
    if len(loss) < needed:
        raise Unprocessable(
            f"A law of {' and '.join(names)} needs at least {needed} runs, and there are {len(loss)}.",
            expected=needed, got=len(loss),
        )  # fmt: skip
    for name, values in zip(names, np.log(x).T, strict=True):
        if len(np.unique(values)) < 3 or np.ptp(values) < _SPAN:
            raise Unprocessable(
                f"The runs have fewer than three values of {name}: vary it, or leave it out.", field=name
            )
    if len(names) > 1 and np.linalg.eigvalsh(np.corrcoef(np.log(x).T))[0] < _COLLINEAR:
        raise Unprocessable(
            f"The runs are collinear: {' and '.join(names)} always change together, so that their effects cannot be "
            "told apart; add runs that change one alone.",
        )


def starts(loss: np.ndarray, inputs: int) -> np.ndarray:
    """The grid of starts in free, centred parameters: 162 of them for two inputs."""
    lowest, middle = float(loss.min()), float(np.median(loss))
    shares = np.eye(inputs) * 0.7 + 0.15 if inputs > 1 else np.ones((1, 1))
    shares = np.concatenate([shares, np.full((1, inputs), 1 / inputs)]) if inputs > 1 else shares
    rows = []
    for part, size, share, exponents in product(_FLOORS, _SIZES, shares, product(_EXPONENTS, repeat=inputs)):
        above = np.maximum(share * size * (middle - part * lowest), 1e-6 * middle)
        pairs = zip(np.log(above), map(_logit, exponents), strict=True)
        rows.append((np.log(part * lowest), *(value for pair in pairs for value in pair)))
    return np.asarray(rows)


class _Objective:
    """Σ weight · Huber(log of the law − log L) and its gradient, for many rows of (e, a_1, γ_1, a_2, …) at once."""

    def __init__(self, u: np.ndarray, log_loss: np.ndarray, weights: np.ndarray) -> None:
        """`u` [n, inputs] centred log x; `weights` [1 or rows, n]."""
        self._u, self._log_loss, self._weights = u, log_loss, weights

    def __call__(self, parameters: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(over="ignore", invalid="ignore"):
            bounded = _bounded(parameters)
            exponents = bounded[:, 2::2]
            terms = _terms(bounded, self._u)  # [s, 1 + inputs, n]
            top = terms.max(axis=1, keepdims=True)
            powers = np.exp(terms - top)
            total = powers.sum(axis=1, keepdims=True)
            error = (top + np.log(total))[:, 0] - self._log_loss
            weights = self._weights if len(self._weights) == 1 else self._weights[rows]
            size = np.abs(error)
            huber = np.where(size <= DELTA, error**2 / 2, DELTA * (size - DELTA / 2))
            values = (weights * huber).sum(axis=1)
            by_term = (weights * np.clip(error, -DELTA, DELTA))[:, None] * powers / total
        gradient = np.empty_like(parameters)
        gradient[:, 0] = by_term[:, 0].sum(axis=1)
        gradient[:, 1::2] = by_term[:, 1:].sum(axis=2)
        gradient[:, 2::2] = -np.einsum("sjn,nj->sj", by_term[:, 1:], self._u)
        gradient[:, 2::2] *= exponents * (1 - exponents / MOST)
        return np.where(np.isfinite(values), values, np.inf), np.nan_to_num(gradient)


def _bounded(parameters: np.ndarray) -> np.ndarray:
    """(e, a, γ, …) → (e, a, α, …): exponents between 0 and `MOST`."""
    bounded = parameters.copy()
    bounded[:, 2::2] = MOST / (1 + np.exp(-np.clip(parameters[:, 2::2], -_STEEPEST, _STEEPEST)))
    return bounded


def _logit(exponent: float) -> float:
    return float(np.log(exponent / (MOST - exponent)))


def _terms(parameters: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Logarithms of E and of each term [s, 1 + inputs, n]."""
    powers = parameters[:, 1::2, None] - parameters[:, 2::2, None] * u.T
    floors = np.broadcast_to(parameters[:, :1, None], (len(parameters), 1, len(u)))
    return np.concatenate([floors, powers], axis=1)


def _log_losses(parameters: np.ndarray, u: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.logaddexp.reduce(_terms(parameters, u), axis=1)
    return result


def _losses(vectors: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Losses [s, ...] of laws [s, 1 + 2·inputs] at x [..., inputs]."""
    x = np.asarray(x, np.float64)
    flat = np.log(x.reshape(-1, x.shape[-1]))
    terms = vectors[:, 1::2, None] * np.exp(-vectors[:, 2::2, None] * flat.T)
    result: np.ndarray = (vectors[:, :1] + terms.sum(axis=1)).reshape(len(vectors), *x.shape[:-1])
    return result


def _natural(parameters: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Centred (e, a, α, …) → (E, A, α, …)."""
    natural = parameters.copy()
    natural[:, 0] = np.exp(parameters[:, 0])
    natural[:, 1::2] = np.exp(parameters[:, 1::2] + parameters[:, 2::2] * centre)
    return natural


def _law(names: tuple[str, ...], vector: np.ndarray) -> Law:
    return Law(names, float(vector[0]), tuple(map(float, vector[1::2])), tuple(map(float, vector[2::2])))


def resampled(runs: int, draws: int, parameters: int, seed: int) -> np.ndarray:
    """How often each run is drawn [draws, runs]; a draw of too few different runs is drawn again."""
    random = np.random.default_rng(seed)
    counts = random.multinomial(runs, np.full(runs, 1 / runs), size=draws)
    poor = (counts > 0).sum(axis=1) <= min(parameters, runs - 1)
    while poor.any():
        counts[poor] = random.multinomial(runs, np.full(runs, 1 / runs), size=int(poor.sum()))
        poor = (counts > 0).sum(axis=1) <= min(parameters, runs - 1)
    return counts.astype(np.float64)
