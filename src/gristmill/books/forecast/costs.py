"""Money as a function of the inputs: a sum of terms price · Π x_j^power_j, as 6·N·D at the price of a FLOP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class CostTerm(NamedTuple):
    """`price` · Π x_j^`powers`_j units of money."""

    name: str
    price: float
    powers: tuple[float, ...]


def cost(terms: Sequence[CostTerm], x: np.ndarray) -> np.ndarray:
    """Money [...] at x [..., inputs]."""
    logs = np.log(x)
    total: np.ndarray = np.sum([term.price * np.exp(logs @ np.asarray(term.powers)) for term in terms], axis=0)
    return total


def marginal_cost(terms: Sequence[CostTerm], x: np.ndarray) -> np.ndarray:
    """∂K/∂x [inputs] at x [inputs]."""
    slopes = [cost([term], x) * np.asarray(term.powers) / x for term in terms]
    total: np.ndarray = np.sum(slopes, axis=0)
    return total
