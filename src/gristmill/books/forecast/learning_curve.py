"""Where a learning curve goes: candidates, chosen by how well each would have foretold the curve's own later part.

The consensus is the median of MMF and Weibull with and without recency and of the last value; another candidate takes
its place only when it was right by far on the held-out parts. A curve too short to hold out its later part four times,
as far as it is asked, tells little of that: it goes by the average of many shapes. Refused where nothing beats the last
value.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gristmill.books.forecast.averaging import average
from gristmill.books.forecast.curves import FAMILIES, fit
from gristmill.core.errors import Unprocessable

LAST = "last value"
CONSENSUS, AVERAGE = "consensus", "average of shapes"
_RECENCIES = (0.0, 0.5)
_TRUSTED = ("mmf", "weibull")
_BACKTESTS = 4
_FEWEST = 5  # points; a fit has up to four parameters
_FEWEST_FITTED = 4  # points before a held-out one
_BETTER_BY = 0.5  # a candidate's held-out error, in parts of the consensus', to take its place
_HALF_WIDTH = 1.645  # of a normal 90 % interval; 90 % of the 330 curves of LCDB 1.1 are covered so, by four backtests
_TAILS = (0.05, 0.5, 0.95)
_STUDENT = (6.314, 2.920, 2.353, 2.132)  # 95 % quantiles of 1 to 4 degrees of freedom: fewer backtests know less


class Candidate(NamedTuple):
    name: str
    held_out_error: float  # mean absolute log error
    forecast: float
    floor: float | None


class CurveForecast(NamedTuple):
    """`refused` says why `value` is only the last one."""

    at: float
    value: float
    low: float
    high: float
    chosen: str
    refused: str | None
    candidates: tuple[Candidate, ...]

    def document(self) -> dict[str, Any]:
        return self._asdict() | {"candidates": [one._asdict() for one in self.candidates]}


def forecast(x: np.ndarray, y: np.ndarray, at: float, tested: float | None = None) -> CurveForecast:
    """Loss at `at` from points `x`, `y` [n], with a 90 % interval. Raises Unprocessable for what cannot be fitted.

    `tested`: rows of which `y` is the share that is wrong, all runs on the same: a short curve's interval holds what so
    many rows leave to chance.
    """
    x, y = _checked(x, y)
    horizon = max(at / x[-1], 1.0)
    tests, short = _tests(x, horizon)
    errors = _held_out_errors(x, y, horizon, tests, short)
    logs, floors = _predictions(x, y, at)
    logs[CONSENSUS] = float(np.median([logs[name] for name in _consensus_of()]))
    chosen, refused = _choose(errors)
    if short:
        low, logs[AVERAGE], high = map(float, average(x, y, at, _TAILS, tested))
        low, high = min(low, logs[chosen]), max(high, logs[chosen])
    else:
        half = _half_width(errors[chosen], np.asarray([logs[name] for name in _consensus_of()]))
        low, high = logs[chosen] - half, logs[chosen] + half
    candidates = tuple(
        Candidate(name, float(np.abs(errors[name]).mean()), float(np.exp(value)), floors.get(name))
        for name, value in logs.items()
    )
    value, low, high = map(float, np.exp([logs[chosen], low, high]))
    return CurveForecast(at, value, low, high, chosen, refused, candidates)


def _half_width(missed: np.ndarray, consensus: np.ndarray) -> float:
    """From held-out errors [backtests] of the chosen one and how far the consensus' candidates differ."""
    wider = _STUDENT[len(missed) - 1] / _STUDENT[_BACKTESTS - 1]
    return _HALF_WIDTH * wider * float(np.sqrt(np.mean(missed**2) + np.var(consensus)))


def _checked(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted by x, the mean of what was measured more than once."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (x > 0).all() and (y > 0).all()):
        raise Unprocessable("A learning curve needs finite, positive sizes and losses: give errors, not accuracies.")
    distinct, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    if len(distinct) < _FEWEST:
        raise Unprocessable(
            f"A learning curve needs runs at {_FEWEST} sizes or more, and there are {len(distinct)}: train on more "
            "shares of the rows.",
            expected=_FEWEST,
            got=len(distinct),
        )
    return distinct, np.bincount(place, weights=y) / counts


def _consensus_of() -> list[str]:
    return [_name(family, recency) for family in _TRUSTED for recency in _RECENCIES] + [LAST]


def _name(family: str, recency: float) -> str:
    return f"{family}, recent first" if recency else family


def _predictions(x: np.ndarray, y: np.ndarray, at: float) -> tuple[dict[str, float], dict[str, float]]:
    """(log of each candidate's forecast, each family's floor)."""
    logs, floors = {LAST: float(np.log(y[-1]))}, {}
    for family in FAMILIES:
        for recency in _RECENCIES:
            curve = fit(family, x, y, recency)
            name = _name(family.name, recency)
            logs[name] = float(np.log(max(float(curve.at(at)), 1e-12)))
            floors[name] = curve.floor
    return logs, floors


def _held_out_errors(
    x: np.ndarray, y: np.ndarray, horizon: float, tests: list[tuple[int, int]], short: bool
) -> dict[str, np.ndarray]:
    """Log errors [backtests] of each candidate, fitted on a beginning and asked for a point `horizon` times as far.

    Of a point that is nearer the error is told as if it grew with the logarithm of the way.
    """
    found: dict[str, list[float]] = {}
    for index in np.unique(np.linspace(0, len(tests) - 1, min(_BACKTESTS, len(tests))).astype(int)):
        kept, end = tests[index]
        nearer = max(1.0, float(np.log(horizon) / np.log(x[end] / x[kept - 1])))
        logs, _ = _predictions(x[:kept], y[:kept], float(x[end]))
        if short:
            logs[AVERAGE] = float(average(x[:kept], y[:kept], float(x[end]), (0.5,))[0])
        for name, value in logs.items():
            found.setdefault(name, []).append(nearer * (value - float(np.log(y[end]))))
    errors = {name: np.asarray(values) for name, values in found.items()}
    errors[CONSENSUS] = np.median([errors[name] for name in _consensus_of()], axis=0)
    return errors


def _tests(x: np.ndarray, horizon: float) -> tuple[list[tuple[int, int]], bool]:
    """(points fitted, the point asked for), the last one first; and whether the curve is too short for enough of them.

    Where the curve is too short to hold out so far, as far as it goes.
    """
    far, near = [], []
    for end in range(len(x) - 1, _FEWEST_FITTED - 1, -1):
        kept = min(int(np.searchsorted(x, x[end] / horizon, side="right")), end)
        if kept >= _FEWEST_FITTED:
            far.append((kept, end))
        near.append((_FEWEST_FITTED, end))
    return far or near, horizon > 1 and len(far) < _BACKTESTS


def _choose(errors: dict[str, np.ndarray]) -> tuple[str, str | None]:
    """(the chosen candidate, why it is only the last value)."""
    missed = {name: float(np.abs(values).mean()) for name, values in errors.items()}
    best = min(missed, key=lambda name: missed[name])
    if AVERAGE in missed and missed[AVERAGE] < missed[LAST]:
        return AVERAGE, None
    if AVERAGE not in missed and missed[best] < missed[LAST]:
        return (best if missed[best] < _BETTER_BY * missed[CONSENSUS] else CONSENSUS), None
    return LAST, (
        f"No curve foretells these points better than their last value does (mean error {missed[LAST]:.1%} held out): "
        "there is no trend to go by, so the last value is told."
    )
