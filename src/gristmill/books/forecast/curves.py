"""Learning curves: loss against one input, as floor + scale · shape(x; θ), each family by its shape.

Sources of the families: Viering and Loog, "The Shape of Learning Curves: a Review" (TPAMI 2023), table 1. For a given θ
floor and scale are linear, so a fit is a grid over θ with both solved in closed form (variable projection, Golub and
Pereyra 1973), ever finer around its best place. Residuals are relative, so that every decade of the curve counts alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]
_ZOOMS = 10  # each halves the spacing


class Family(NamedTuple):
    """`shape` takes x [n] over its median and log θ [..., p], and gives [..., n], falling from 1 towards 0."""

    name: str
    shape: Shape
    grid: np.ndarray  # [g, p]


class Curve(NamedTuple):
    """A fitted family. `error` is the root mean squared relative residual."""

    family: str
    floor: float
    scale: float
    theta: tuple[float, ...]
    unit: float
    error: float

    def at(self, x: np.ndarray | float) -> np.ndarray:
        """Loss at x, of x's shape."""
        values = np.atleast_1d(np.asarray(x, np.float64)) / self.unit
        found = _BY_NAME[self.family].shape(values, np.asarray(self.theta))
        result: np.ndarray = self.floor + self.scale * found.reshape(np.shape(x))
        return result


def _pow3(x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    shape: np.ndarray = np.exp(-np.exp(theta[..., 0, None]) * np.log(x))
    return shape


def _pow4(x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    shape: np.ndarray = np.exp(-np.exp(theta[..., 0, None]) * np.log(x + np.exp(theta[..., 1, None])))
    return shape


def _mmf(x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Morgan, Mercer, Flodin: (a·b + c·x^d) / (b + x^d)."""
    shape: np.ndarray = 1 / (1 + np.exp(np.exp(theta[..., 0, None]) * np.log(x) - theta[..., 1, None]))
    return shape


def _weibull(x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    shape: np.ndarray = np.exp(-np.exp(np.exp(theta[..., 0, None]) * np.log(x) - theta[..., 1, None]))
    return shape


def _grid(*axes: np.ndarray) -> np.ndarray:
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=-1)


_AROUND = {1: _grid(np.linspace(-1, 1, 5)), 2: _grid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5))}
_EXPONENTS = np.log(np.geomspace(0.02, 4, 24))
FAMILIES = (
    Family("pow3", _pow3, _EXPONENTS[:, None]),
    Family("pow4", _pow4, _grid(_EXPONENTS, np.log(np.geomspace(0.01, 30, 10)))),
    Family("mmf", _mmf, _grid(_EXPONENTS, np.linspace(-6, 6, 13))),
    Family("weibull", _weibull, _grid(_EXPONENTS, np.linspace(-4, 4, 13))),
)
_BY_NAME = {family.name: family for family in FAMILIES}


def fit(family: Family, x: np.ndarray, y: np.ndarray, recency: float = 0.0) -> Curve:
    """`x`, `y` [n], positive, x rising. Floor and scale are at least 0: a curve falls, and to no less than nothing.

    `recency` weights residuals by (x / largest x)^recency: the later part of a curve tells more of what follows.
    """
    unit = float(np.median(x))
    values, weight = x / unit, (x / x[-1]) ** recency / y
    theta, error = _searched(family, values, y, weight)
    _, floor, scale = _projected(family.shape(values, theta[None]), y, weight)
    return Curve(family.name, float(floor[0]), float(scale[0]), tuple(map(float, theta)), unit, float(np.sqrt(error)))


def _searched(family: Family, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    """(θ, its mean squared residual): the best place of the grid, then ever finer grids around the best so far."""
    errors, _, _ = _projected(family.shape(x, family.grid), y, weight)
    best = family.grid[errors.argmin()]
    low, high, step = family.grid.min(axis=0), family.grid.max(axis=0), _spacing(family.grid)
    for _ in range(_ZOOMS):
        near = np.clip(best + _AROUND[len(best)] * step, low, high)
        errors, _, _ = _projected(family.shape(x, near), y, weight)
        best, step = near[errors.argmin()], step / 2
    return best, float(errors.min())


def _spacing(grid: np.ndarray) -> np.ndarray:
    return np.array([np.diff(np.unique(axis)).max() for axis in grid.T])


def _projected(shapes: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean squared weighted residual, floor, scale) [g] of the best floor and scale ≥ 0 for each row of `shapes`."""
    w2 = weight**2
    total, sy, syy = w2.sum(), (w2 * y).sum(), (w2 * y * y).sum()
    ss, sss, ssy = shapes @ w2, shapes**2 @ w2, shapes @ (w2 * y)
    determinant = total * sss - ss**2
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (total * ssy - ss * sy) / determinant
        floor = (sy - scale * ss) / total
        from_nothing = ssy / sss  # the best scale with a floor of 0
    flat = ~np.isfinite(scale) | (scale < 0) | (determinant <= 1e-12 * total * sss)
    sunk = ~flat & (floor < 0)
    scale = np.where(flat, 0.0, np.where(sunk, from_nothing, scale))
    floor = np.where(flat, sy / total, np.where(sunk, 0.0, floor))
    residual = syy - 2 * floor * sy - 2 * scale * ssy + floor**2 * total + 2 * floor * scale * ss + scale**2 * sss
    return np.maximum(residual, 0.0) / len(y), floor, scale
