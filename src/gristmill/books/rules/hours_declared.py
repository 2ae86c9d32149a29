"""People's hours: into the run, model, version or dataset that they were spent on."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting, check_quantity, transfer
from gristmill.books.pricing import Price, price
from gristmill.books.rate_cards import COST
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable
from gristmill.core.money import MICRO, parse_money, price_of
from gristmill.core.types import Basis

_ITEM = "people.hours"


class HoursDeclared(msgspec.Struct, frozen=True):
    who: str
    hours: float
    on: str  # run:ID, model:NAME, version:NAME@N, dataset:NAME@N
    rate: str | None = None  # of one hour, as in 80USD


def postings(event: Event, book: Book) -> list[Posting]:
    """The hours are assumed: they were declared, not measured. Raises Unprocessable."""
    said = read(event, HoursDeclared)
    check_quantity(said.hours, "hours")
    cost = _cost(said, book)
    line = msgspec.structs.replace(
        _place(said.on, book), micro=cost.micro, currency=cost.currency, rate=cost.rate, unpriced=cost.unpriced,
        quantity=said.hours, unit="person_hour", basis=Basis.assumed, item=_ITEM,
    )  # fmt: skip
    return transfer(line, accounts.inputs(_ITEM))


def _cost(said: HoursDeclared, book: Book) -> Price:
    if said.rate is None:
        return price(book.rate(COST, f"{_ITEM}:{said.who}"), said.hours)
    hour = parse_money(said.rate)
    return Price(price_of(Decimal(repr(said.hours)), Decimal(hour.micro) / MICRO), hour.currency, "", False)


def _place(on: str, book: Book) -> Posting:
    kind, _, name = on.partition(":")
    if kind == "run" and name:
        version = book.version_of(name)
        if version is not None:
            return _version(version, book, run=name)
        account = accounts.EXPERIMENTS if book.expensed(name) else accounts.run_asset(name)
        return Posting(account=account, run=name)
    if kind == "model" and name:
        return Posting(account=accounts.model_asset(name), model=name)
    if kind == "version" and "@" in name:
        return _version(name, book)
    if kind == "dataset" and "@" in name:
        return Posting(account=accounts.dataset_asset(name))
    raise Unprocessable(
        f"Hours on {on!r} have no place: name run:ID, model:NAME, version:NAME@N or dataset:NAME@N.", field="on", got=on
    )


def _version(version: str, book: Book, run: str = "") -> Posting:
    account = accounts.MAINTENANCE if book.retired(version) else accounts.version_asset(version)
    return Posting(account=account, version=version, model=version.partition("@")[0], run=run)
