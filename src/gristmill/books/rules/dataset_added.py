"""A dataset version was added: what it cost is an asset until versions are made from it."""

from __future__ import annotations

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.exchange import paid
from gristmill.books.ledger import Posting, check_amount, transfer
from gristmill.books.rules.payload import read


class DatasetAdded(msgspec.Struct, frozen=True):
    dataset: str
    version: int
    rows: int = 0
    cost_micro: int | None = None
    currency: str | None = None


def postings(event: Event, book: Book) -> list[Posting]:
    """Raises Unprocessable for a negative cost or an unknown currency; no cost said is unpriced, not free."""
    said = read(event, DatasetAdded)
    name = f"{said.dataset}@{said.version}"
    item = f"data.{name}"
    line = Posting(account=accounts.dataset_asset(name), item=item, unit="row", quantity=float(said.rows))
    if said.cost_micro is None:
        return transfer(msgspec.structs.replace(line, unpriced=True), accounts.inputs(item))
    check_amount(said.cost_micro, said.currency or "no currency", name)
    priced = msgspec.structs.replace(line, micro=said.cost_micro, currency=said.currency or "")
    return paid(book, priced, accounts.inputs(item))
