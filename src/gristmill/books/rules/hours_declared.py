"""People's hours: into the run, model, version or dataset that they were spent on, or a pool that many share."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.exchange import paid
from gristmill.books.ledger import Posting, check_quantity
from gristmill.books.places import place
from gristmill.books.pricing import Price, price
from gristmill.books.rate_cards import COST
from gristmill.books.rules.payload import read
from gristmill.core.money import MICRO, parse_money, price_of
from gristmill.core.types import Basis

_ITEM = "people.hours"


class HoursDeclared(msgspec.Struct, frozen=True):
    who: str
    hours: float
    on: str  # run:ID, model:NAME, version:NAME@N, dataset:NAME@N, shared:POOL
    rate: str | None = None  # of one hour, as in 80USD


def postings(event: Event, book: Book) -> list[Posting]:
    """The hours are assumed: they were declared, not measured. Raises Unprocessable."""
    said = read(event, HoursDeclared)
    check_quantity(said.hours, "hours")
    cost = _cost(said, book)
    line = msgspec.structs.replace(
        place(said.on, book, "Hours"), micro=cost.micro, currency=cost.currency, rate=cost.rate,
        unpriced=cost.unpriced, quantity=said.hours, unit="person_hour", basis=Basis.assumed, item=_ITEM,
    )  # fmt: skip
    return paid(book, line, accounts.inputs(_ITEM))


def _cost(said: HoursDeclared, book: Book) -> Price:
    if said.rate is None:
        return price(book.rate(COST, f"{_ITEM}:{said.who}"), said.hours)
    hour = parse_money(said.rate)
    return Price(price_of(Decimal(repr(said.hours)), Decimal(hour.micro) / MICRO), hour.currency, "", False)
