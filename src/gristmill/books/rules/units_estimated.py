"""The units that a version will serve were estimated anew: the write-down of units to come follows it."""

from __future__ import annotations

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting, memorandum
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable
from gristmill.core.types import Basis


class UnitsEstimated(msgspec.Struct, frozen=True):
    model: str
    version: int
    expected_units: int


def postings(event: Event, book: Book) -> list[Posting]:
    said = read(event, UnitsEstimated)
    version = f"{said.model}@{said.version}"
    if said.expected_units < 1:
        raise Unprocessable(f"The expected units of {version} should be 1 or more: nothing was posted.")
    account = accounts.expected_units(version)
    change = said.expected_units - book.quantity(account)
    return [memorandum(account, change, "prediction", basis=Basis.modelled, model=said.model, version=version)]
