"""What a target takes: how much of one input, the others kept; or that the law's floor lies above it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gristmill.books.forecast.scaling import Fit
from gristmill.core.errors import Unprocessable


class Reach(NamedTuple):
    """`value` of `input` brings the loss to the target, with its 95 % interval; None: not by this input alone.

    `probability` is the share of draws that reach it at all; an end of the interval is infinite where they do not.
    """

    input: str
    value: float | None
    low: float | None
    high: float | None
    probability: float


def reach(fit: Fit, x: np.ndarray, target: float) -> tuple[Reach, ...]:
    """For each input from x [inputs]. Raises Unprocessable when the floor is above the target."""
    floor = fit.law.floor
    if target <= floor:
        low, high = np.quantile(fit.draws[:, 0], (0.025, 0.975))
        raise Unprocessable(
            f"The target {target:.4g} is not reachable: the floor is {floor:.4g} ± {(high - low) / 2:.2g}.",
            floor=floor, low=float(low), high=float(high),
        )  # fmt: skip
    best = np.asarray([fit.law.vector])
    return tuple(_reach(fit, best, x, place, target) for place in range(len(fit.law.inputs)))


def _reach(fit: Fit, best: np.ndarray, x: np.ndarray, place: int, target: float) -> Reach:
    value = _needed(best, x, place, target)[0]
    draws = _needed(fit.draws, x, place, target)
    low, high = np.quantile(draws, (0.025, 0.975), method="nearest")
    reached = float(np.isfinite(draws).mean())
    return Reach(fit.law.inputs[place], _finite(value), _finite(low), _finite(high), reached)


def _needed(vectors: np.ndarray, x: np.ndarray, place: int, target: float) -> np.ndarray:
    """x_place [draws] at which each law is at the target; infinite where it never is."""
    sizes, exponents = vectors[:, 1::2], vectors[:, 2::2]
    terms = sizes * np.exp(-exponents * np.log(x))
    left = target - vectors[:, 0] - terms.sum(axis=1) + terms[:, place]
    reachable = (left > 0) & (exponents[:, place] > 0)
    with np.errstate(all="ignore"):
        needed = np.exp((np.log(sizes[:, place]) - np.log(np.where(reachable, left, 1.0))) / exponents[:, place])
    return np.where(reachable, needed, np.inf)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
