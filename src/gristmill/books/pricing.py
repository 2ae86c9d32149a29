"""From a quantity of an input or a use to money, by the rate that held then."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from gristmill.books.accounts import MEMORANDUM
from gristmill.books.rate_cards import Rate


class Price(NamedTuple):
    """`unpriced`: there was no rate, or the quantity is not known; `micro` 0 then does not mean free."""

    micro: int
    currency: str
    rate: str
    unpriced: bool


def price(rate: Rate | None, quantity: float | int | None) -> Price:
    """Price of `quantity` base units at `rate`."""
    if rate is None:
        return Price(0, MEMORANDUM, "", True)
    if quantity is None:
        return Price(0, rate.currency, rate.id, True)
    return Price(rate.micro(_exact(quantity)), rate.currency, rate.id, False)


def price_more(rate: Rate | None, quantity: float | int | None, before: float | int, charged: int) -> Price:
    """Price of `quantity` more after `before` that came to `charged`: what rounding left of them is carried on.

    A million uses at a tenth of a micro-unit are then 100,000 micro-units, in however many parts they come.
    """
    if rate is None or quantity is None:
        return price(rate, quantity)
    return Price(max(0, rate.micro(_exact(before + quantity)) - charged), rate.currency, rate.id, False)


def _exact(quantity: float | int) -> Decimal | int:
    return quantity if isinstance(quantity, int) else Decimal(repr(quantity))
