"""The cheapest runs that would decide between two inputs, while it is undecided where money pays best.

The draws of the law are a sample of what may be true. A run at x would tell log L there, up to the residuals' spread;
how much that tells of the difference of two log returns is their covariance over the draws (a Gaussian conditioned on a
measurement, as in the ensemble Kalman filter). Runs are taken greedily by what they tell for their money, none twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from gristmill.books.forecast.costs import CostTerm, cost, marginal_cost
from gristmill.books.forecast.scaling import Fit

_FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
_SURE = 1.96  # standard deviations
_MOST_RUNS = 12
_LEAST_SPREAD = 1e-4  # of log L between equal runs


class PlannedRun(NamedTuple):
    """One run at `x`, what it costs, and the spread of the difference that is left after it, in standard deviations."""

    x: dict[str, float]
    cost: float
    separation: float


class Plan(NamedTuple):
    """`decides`: after these runs the difference between the two inputs is expected to be beyond doubt."""

    between: tuple[str, str]
    runs: tuple[PlannedRun, ...]
    cost: float
    decides: bool


def around(x: np.ndarray) -> np.ndarray:
    """Candidates [k, inputs]: each input of x [inputs] by 1/8 to 4 times of it."""
    return np.asarray(x * np.asarray(list(product(_FACTORS, repeat=len(x)))))


def plan(fit: Fit, terms: Sequence[CostTerm], x: np.ndarray, between: tuple[str, str], candidates: np.ndarray) -> Plan:
    """Of the runs `candidates` [k, inputs] those that tell most of the returns at x [inputs] for their money."""
    money = cost(terms, candidates)
    difference = _log_return(fit, terms, x, between[0]) - _log_return(fit, terms, x, between[1])
    told = np.log(fit.at(candidates))
    joint = np.cov(np.column_stack([told, difference]), rowvar=False)
    noise = max(float(np.std(fit.residuals)), _LEAST_SPREAD) ** 2
    middle = abs(float(difference.mean()))
    chosen: list[PlannedRun] = []
    left = np.ones(len(candidates), bool)
    while len(chosen) < _MOST_RUNS and left.any() and middle < _SURE * np.sqrt(joint[-1, -1]):
        gains = joint[:-1, -1] ** 2 / (np.diag(joint)[:-1] + noise)
        best = int(np.argmax(np.where(left, gains / money, -1.0)))
        left[best] = False
        joint = joint - np.outer(joint[best], joint[best]) / (joint[best, best] + noise)
        separation = middle / np.sqrt(max(joint[-1, -1], 1e-300))
        values = dict(zip(fit.law.inputs, map(float, candidates[best]), strict=True))
        chosen.append(PlannedRun(values, float(money[best]), float(separation)))
    decides = bool(middle >= _SURE * np.sqrt(joint[-1, -1]))
    return Plan(between, tuple(chosen), sum(run.cost for run in chosen), decides)


def _log_return(fit: Fit, terms: Sequence[CostTerm], x: np.ndarray, name: str) -> np.ndarray:
    """Log of the marginal return of one input over the draws."""
    place = fit.law.inputs.index(name)
    sizes, exponents = fit.draws[:, 1 + 2 * place], fit.draws[:, 2 + 2 * place]
    slopes = sizes * exponents * np.exp(-(exponents + 1) * np.log(x[place]))
    return np.asarray(np.log(np.maximum(slopes, 1e-300) / marginal_cost(terms, x)[place]))
