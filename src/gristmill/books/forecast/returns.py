"""Where the next unit of money pays best: −(∂L/∂x) / (∂K/∂x) of each input, with the uncertainty of the law.

`K` is money as a function of the inputs. An input whose money is not known (∂K/∂x = 0) has no return. Search is no
input of the law: its return is what one more run takes off the expected best, over what the run costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from gristmill.books.forecast.costs import CostTerm, cost, marginal_cost
from gristmill.books.forecast.scaling import Fit
from gristmill.books.forecast.search import SEARCH, Tried, gains
from gristmill.core.errors import Unprocessable

_TAILS = (0.025, 0.975)
_FARTHEST = 1e9  # times an input's present value


class Return(NamedTuple):
    """What one more unit of money in one input takes off the loss, with its 95 % interval."""

    input: str
    value: float
    low: float
    high: float
    probability_best: float


class Returns(NamedTuple):
    """Best first; `draws` [b, inputs] in the same order. `best` is None while the interval of the best overlaps."""

    returns: tuple[Return, ...]
    best: str | None
    draws: np.ndarray


class Spent(NamedTuple):
    """What the loss becomes when a budget goes into one input alone, from `now` to `then` of it."""

    input: str
    now: float
    then: float
    loss: float
    low: float
    high: float


def marginal_returns(fit: Fit, terms: Sequence[CostTerm], x: np.ndarray, tried: Tried | None = None) -> Returns:
    """Returns at x [inputs], best first. Raises Unprocessable when no input's money is known."""
    prices = marginal_cost(terms, x) if terms else np.zeros(len(x))
    priced = [place for place, price in enumerate(prices) if price > 0]
    if not priced:
        raise Unprocessable("No input has a price, so that nothing is known of returns on money: give the costs.")
    names = [fit.law.inputs[place] for place in priced]
    draws = _slopes(fit.draws, x)[:, priced] / prices[priced]
    values = _slopes(np.asarray([fit.law.vector]), x)[0, priced] / prices[priced]
    if tried is not None:
        value, of_search = gains(tried, 1, len(draws))
        names, values = [*names, SEARCH], np.append(values, value / tried.cost)
        draws = np.column_stack([draws, of_search / tried.cost])
    lows, highs = np.quantile(draws, _TAILS, axis=0)
    wins = np.bincount(draws.argmax(axis=1), minlength=len(names)) / len(draws)
    order = np.argsort(-values, kind="stable")
    found = [Return(names[place], *(float(of[place]) for of in (values, lows, highs, wins))) for place in order]
    decided = all(found[0].low > other.high for other in found[1:])
    return Returns(tuple(found), found[0].input if decided else None, draws[:, order])


def spend(
    fit: Fit, terms: Sequence[CostTerm], x: np.ndarray, budget: float, tried: Tried | None = None
) -> tuple[Spent, ...]:
    """The loss after `budget` more money in each input alone, the others kept as in x [inputs]; best first."""
    here = cost(terms, x)
    found = []
    for place, price in enumerate(marginal_cost(terms, x)):
        if price > 0:
            factor = _factor(terms, x, place, float(here) + budget)
            then = x * np.where(np.arange(len(x)) == place, factor, 1.0)
            low, high = np.quantile(fit.at(then), _TAILS)
            figures = (x[place], then[place], fit.law.at(then), low, high)
            found.append(Spent(fit.law.inputs[place], *map(float, figures)))
    if tried is not None:
        found.append(_searched(fit, x, tried, budget))
    return tuple(sorted(found, key=lambda one: one.loss))


def _searched(fit: Fit, x: np.ndarray, tried: Tried, budget: float) -> Spent:
    """What is gained over the expected best of the runs that there are comes off the law's loss at x."""
    more = budget / tried.cost
    gain, draws = gains(tried, more, len(fit.draws))
    low, high = np.quantile(fit.at(x) - draws, _TAILS)
    now = len(tried.errors)
    return Spent(SEARCH, *map(float, (now, now + more, fit.law.at(x) - gain, low, high)))


def _factor(terms: Sequence[CostTerm], x: np.ndarray, place: int, money: float) -> float:
    """How many times as much of one input `money` buys in all."""
    step = np.arange(len(x)) == place

    def over(log_factor: float) -> float:
        return float(cost(terms, x * np.exp(log_factor * step)) - money)

    return float(np.exp(brentq(over, 0.0, np.log(_FARTHEST)))) if over(np.log(_FARTHEST)) > 0 else _FARTHEST


def _slopes(vectors: np.ndarray, x: np.ndarray) -> np.ndarray:
    """−∂L/∂x [draws, inputs] of laws (E, A, α, …) [draws, 1 + 2·inputs] at x [inputs]."""
    sizes, exponents = vectors[:, 1::2], vectors[:, 2::2]
    result: np.ndarray = sizes * exponents * np.exp(-(exponents + 1) * np.log(x))
    return result
