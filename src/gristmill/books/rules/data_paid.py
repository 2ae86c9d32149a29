"""Data was paid for after it was added: bought, labelled or cleaned; for the whole, or by the row."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.exchange import paid
from gristmill.books.ledger import Posting, check_amount
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable
from gristmill.core.money import price_of
from gristmill.core.prices import parse_price


class DataPaid(msgspec.Struct, frozen=True):
    dataset: str  # NAME@N
    what: str  # bought, labelled, cleaned
    rows: int  # that survived cleaning
    amount: str  # as in 120USD
    by_row: bool = False


def postings(event: Event, book: Book) -> list[Posting]:
    """By the row, `amount` is paid for each row that survived cleaning. Raises Unprocessable."""
    said = read(event, DataPaid)
    if said.rows < 0:
        raise Unprocessable(f"The rows of {said.dataset} should be 0 or more: nothing was posted.", field="rows")
    amount, currency = parse_price(said.amount)
    micro = price_of(said.rows if said.by_row else 1, Decimal(amount))
    check_amount(micro, currency, f"What was paid for {said.dataset}")
    item = f"data.{said.dataset}"
    # quantity 0: the rows were counted when they were added
    line = Posting(account=accounts.dataset_asset(said.dataset), micro=micro, currency=currency, quantity=0.0,
                   unit="row", item=item)  # fmt: skip
    return paid(book, line, accounts.inputs(item))
