"""The cheapest runs that would decide between two inputs, while it is undecided where money pays best.

The draws of the law are a sample of what may be true. A run at x would tell log L there, up to the residuals' spread;
how much that tells of the difference of two log returns is their covariance over the draws (a Gaussian conditioned on a
measurement, as in the ensemble Kalman filter). Runs are taken greedily, none twice, by what they tell for their money
and again by what they tell alone; of each set that decides, runs that it decides without are left out, and the cheaper
set is the plan.
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
    difference = _log_return(fit, terms, x, between[0]) - _log_return(fit, terms, x, between[1])
    joint = np.cov(np.column_stack([np.log(fit.at(candidates)), difference]), rowvar=False)
    noise = max(float(np.std(fit.residuals)), _LEAST_SPREAD) ** 2
    told = _Told(joint, noise, abs(float(difference.mean())))
    money = cost(terms, candidates)
    found = [_greedy(told, by) for by in (money, np.ones(len(money)))]
    deciding = [_needed(told, runs, money) for runs in found if told.apart(runs) >= _SURE]
    runs = min(deciding, key=lambda runs: float(money[runs].sum())) if deciding else found[0]
    planned = []
    for count, run in enumerate(runs, 1):
        values = dict(zip(fit.law.inputs, map(float, candidates[run]), strict=True))
        planned.append(PlannedRun(values, float(money[run]), told.apart(runs[:count])))
    return Plan(between, tuple(planned), float(money[runs].sum()), bool(deciding))


class _Told(NamedTuple):
    """`joint` covariance [k + 1, k + 1] of log L at k candidates and of the difference, `middle` away from nothing."""

    joint: np.ndarray
    noise: float  # variance of log L between equal runs
    middle: float

    def after(self, runs: Sequence[int]) -> np.ndarray:
        """The covariance that is left when these runs have been made."""
        joint = self.joint
        for run in runs:
            joint = joint - np.outer(joint[run], joint[run]) / (joint[run, run] + self.noise)
        return joint

    def apart(self, runs: Sequence[int]) -> float:
        """How many standard deviations the difference is expected to lie from nothing after these runs."""
        return float(self.middle / np.sqrt(max(self.after(runs)[-1, -1], 1e-300)))


def _greedy(told: _Told, money: np.ndarray) -> list[int]:
    """Runs in the order of what each tells for its money, until it is decided or there are too many."""
    runs: list[int] = []
    while len(runs) < min(_MOST_RUNS, len(money)) and told.apart(runs) < _SURE:
        joint = told.after(runs)
        gains = joint[:-1, -1] ** 2 / (np.diag(joint)[:-1] + told.noise) / money
        gains[runs] = -1.0
        runs.append(int(np.argmax(gains)))
    return runs


def _needed(told: _Told, runs: Sequence[int], money: np.ndarray) -> list[int]:
    """Without those, the dearest first, that the others decide without."""
    kept = list(runs)
    for run in sorted(runs, key=lambda one: -money[one]):
        others = [one for one in kept if one != run]
        if told.apart(others) >= _SURE:
            kept = others
    return kept


def _log_return(fit: Fit, terms: Sequence[CostTerm], x: np.ndarray, name: str) -> np.ndarray:
    """Log of the marginal return of one input over the draws."""
    place = fit.law.inputs.index(name)
    sizes, exponents = fit.draws[:, 1 + 2 * place], fit.draws[:, 2 + 2 * place]
    slopes = sizes * exponents * np.exp(-(exponents + 1) * np.log(x[place]))
    return np.asarray(np.log(np.maximum(slopes, 1e-300) / marginal_cost(terms, x)[place]))
