"""Compute of a language model: training takes 6·N·D FLOP, serving 2·N a token; and what repeated data are worth.

Hoffmann et al. (2022) for training; Sardana et al., "Beyond Chinchilla-Optimal" (2024) for serving's share; Muennighoff
et al., "Scaling Data-Constrained Language Models" (2023), equation 5, for repeated data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from gristmill.books.forecast.scaling import Law
from gristmill.core.errors import Unprocessable

TRAINING_FLOP, SERVING_FLOP = 6.0, 2.0  # by parameter and token
R_STAR = 15.39  # of repeated tokens, Muennighoff et al., section 6.1
_LOG_SIZES = (np.log(1e2), np.log(1e15))  # parameters
_PLACES = 400


class Optimum(NamedTuple):
    """Parameters and training tokens, the loss that they give and the FLOP of training and serving together."""

    parameters: float
    tokens: float
    loss: float
    flop: float


def effective_data(seen: np.ndarray | float, unique: np.ndarray | float, r_star: float = R_STAR) -> np.ndarray:
    """D' = U + U·R*·(1 − e^(−R/R*)), R = D/U − 1 repeats: what D rows seen of U unique ones are worth."""
    seen, unique = np.asarray(seen, np.float64), np.asarray(unique, np.float64)
    unique = np.minimum(unique, seen)
    repeats = seen / unique - 1
    return np.asarray(unique + unique * r_star * -np.expm1(-repeats / r_star))


def best_for_compute(law: Law, flop: float, served_tokens: float = 0.0) -> Optimum:
    """The lowest loss for `flop` of training and serving together. Raises Unprocessable when serving takes all."""

    def tokens(log_size: float) -> float:
        return float((flop / np.exp(log_size) - SERVING_FLOP * served_tokens) / TRAINING_FLOP)

    def loss(log_size: float) -> float:
        found = tokens(log_size)
        return float(law.at(np.asarray([np.exp(log_size), found]))) if found >= 1 else np.inf

    best = _lowest(loss)
    if best is None:
        raise Unprocessable("Serving alone takes this compute: nothing is left to train a model with.")
    return Optimum(float(np.exp(best)), float(tokens(best)), loss(best), flop)


def cheapest_for_loss(law: Law, target: float, served_tokens: float = 0.0) -> Optimum:
    """The least compute of training and serving that reaches `target`. Raises Unprocessable below the floor."""
    (a, b), (alpha, beta) = law.coefficients, law.exponents

    def tokens(log_size: float) -> float:
        left = target - law.floor - a * np.exp(-alpha * log_size)
        return float((b / left) ** (1 / beta)) if left > 0 else np.inf

    def flop(log_size: float) -> float:
        return float(np.exp(log_size) * (TRAINING_FLOP * tokens(log_size) + SERVING_FLOP * served_tokens))

    best = _lowest(flop)
    if best is None:
        raise Unprocessable(f"The target {target:.4g} is not reachable: the floor is {law.floor:.4g}.")
    return Optimum(float(np.exp(best)), tokens(best), target, flop(best))


def _lowest(value: Callable[[float], float]) -> float | None:
    """Log of the size at which `value` is lowest: a grid over all sizes, refined about its best place."""
    grid = np.linspace(*_LOG_SIZES, _PLACES)
    values = np.asarray([value(place) for place in grid])
    if not np.isfinite(values).any():
        return None
    best = int(np.argmin(values))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, _PLACES - 1)])
    found = minimize_scalar(value, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return float(found.x if found.fun < values[best] else grid[best])
