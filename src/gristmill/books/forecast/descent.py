"""Many L-BFGS minimisations side by side: one row a start, or a resampled data set, each with its own history.

Nocedal and Wright, "Numerical Optimization" (2006), algorithm 7.4; the line search is Lewis and Overton's bisection
for weak Wolfe conditions (2013), which also stands a Huber loss whose bend is far below the residuals.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# (parameters [s, p], rows [s]) → values [s], gradients [s, p]; `rows` says which of all rows are asked for
Objective = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
_MEMORY = 12
_ARMIJO, _WOLFE = 1e-4, 0.9
_TRIALS = 30


def descend(
    objective: Objective, starts: np.ndarray, iterations: int = 400, tolerance: float = 1e-10
) -> tuple[np.ndarray, np.ndarray]:
    """(parameters [s, p], values [s]) where each row of `starts` [s, p] ends.

    A row ends when a step lowers it by no more than `tolerance` of its value, or when no step lowers it.
    """
    rows = np.arange(len(starts))
    ends, end_values = starts.copy(), np.empty(len(starts))
    point = starts.copy()
    value, gradient = objective(point, rows)
    steps: list[np.ndarray] = []
    bends: list[np.ndarray] = []
    for _ in range(iterations):
        direction = -_two_loops(gradient, steps, bends)
        length = np.ones(len(rows)) if steps else 1 / np.maximum(np.linalg.norm(gradient, axis=1), 1e-12)
        new, new_value, new_gradient = _search(objective, rows, point, value, gradient, direction, length)
        done = ~(value - new_value > tolerance * np.abs(value))
        steps, bends = [*steps, new - point][-_MEMORY:], [*bends, new_gradient - gradient][-_MEMORY:]
        point, value, gradient = new, new_value, new_gradient
        ends[rows], end_values[rows] = point, value
        if done.any():
            going = ~done
            rows, point, value, gradient = rows[going], point[going], value[going], gradient[going]
            steps, bends = [step[going] for step in steps], [bend[going] for bend in bends]
        if not len(rows):
            break
    return ends, end_values


def _two_loops(gradient: np.ndarray, steps: list[np.ndarray], bends: list[np.ndarray]) -> np.ndarray:
    """The inverse Hessian's estimate times the gradient, row by row; a pair without curvature counts for nothing."""
    left = gradient.copy()
    inverses = [_inverse(_dot(step, bend)) for step, bend in zip(steps, bends, strict=True)]
    shares = []
    for step, bend, inverse in zip(reversed(steps), reversed(bends), reversed(inverses), strict=True):
        share = inverse * _dot(step, left)
        left -= share[:, None] * bend
        shares.append(share)
    if steps:
        scale = _dot(steps[-1], bends[-1]) * _inverse(_dot(bends[-1], bends[-1]))
        left *= np.where(scale > 0, scale, 1.0)[:, None]
    for step, bend, inverse, share in zip(steps, bends, inverses, reversed(shares), strict=True):
        left += (share - inverse * _dot(bend, left))[:, None] * step
    return left


def _search(
    objective: Objective,
    rows: np.ndarray,
    point: np.ndarray,
    value: np.ndarray,
    gradient: np.ndarray,
    direction: np.ndarray,
    length: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The points along `direction` that meet both conditions; the best seen where none did."""
    slope = _dot(gradient, direction)
    uphill = slope >= 0
    direction = np.where(uphill[:, None], -gradient, direction)
    slope = np.where(uphill, -_dot(gradient, gradient), slope)
    low, high = np.zeros(len(rows)), np.full(len(rows), np.inf)
    best, best_value, best_gradient = point.copy(), value.copy(), gradient.copy()
    open_ = np.arange(len(rows))
    for _ in range(_TRIALS):
        tried = point[open_] + length[open_, None] * direction[open_]
        got, got_gradient = objective(tried, rows[open_])
        better = got < best_value[open_]
        places = open_[better]
        best[places], best_value[places], best_gradient[places] = tried[better], got[better], got_gradient[better]
        too_far = ~(got <= value[open_] + _ARMIJO * length[open_] * slope[open_])
        too_near = ~too_far & (_dot(got_gradient, direction[open_]) < _WOLFE * slope[open_])
        high[open_[too_far]] = length[open_[too_far]]
        low[open_[too_near]] = length[open_[too_near]]
        open_ = open_[too_far | too_near]
        if not len(open_):
            break
        length[open_] = np.where(np.isinf(high[open_]), 2 * low[open_], (low[open_] + high[open_]) / 2)
    return best, best_value, best_gradient


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.einsum("sp,sp->s", a, b)
    return result


def _inverse(values: np.ndarray) -> np.ndarray:
    return np.where(values > 1e-300, 1 / np.where(values > 1e-300, values, 1.0), 0.0)
