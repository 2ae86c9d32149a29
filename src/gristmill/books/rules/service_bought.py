"""A service was bought (calls of somebody's API, a licence): into what it was bought for."""

from __future__ import annotations

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.exchange import paid
from gristmill.books.ledger import Posting, check_amount, check_quantity
from gristmill.books.places import place
from gristmill.books.rules.payload import read
from gristmill.core.ids import check_name


class ServiceBought(msgspec.Struct, frozen=True):
    name: str
    cost_micro: int
    currency: str
    on: str  # run:ID, model:NAME, version:NAME@N, dataset:NAME@N, shared:POOL
    calls: float | None = None  # None: nobody counted them, and it is one purchase


def postings(event: Event, book: Book) -> list[Posting]:
    """Raises Unprocessable for a negative amount, an unknown currency, no place."""
    said = read(event, ServiceBought)
    item = f"services.{check_name(said.name, 'service')}"
    check_amount(said.cost_micro, said.currency, f"The service {said.name}")
    quantity, unit = (1.0, "purchase") if said.calls is None else (check_quantity(said.calls, "calls"), "call")
    line = msgspec.structs.replace(place(said.on, book, "Services"), micro=said.cost_micro, currency=said.currency,
                                   quantity=quantity, unit=unit, item=item)  # fmt: skip
    return paid(book, line, accounts.inputs(item))
