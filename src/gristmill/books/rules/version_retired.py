"""A version was retired: what is left of its asset is written off."""

from __future__ import annotations

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting, memorandum, transfer
from gristmill.books.rules.payload import read


class VersionRetired(msgspec.Struct, frozen=True):
    model: str
    version: int


def postings(event: Event, book: Book) -> list[Posting]:
    """A version with nothing left still gets its line, by which the books know that it is retired."""
    said = read(event, VersionRetired)
    version = f"{said.model}@{said.version}"
    contra = accounts.written_off(version)
    lines = [memorandum(contra, 1.0, "retirement", model=said.model, version=version)]
    for currency, left in book.book_values(version).items():
        if left:
            line = Posting(account=accounts.WRITTEN_OFF, micro=left, currency=currency, quantity=0.0,
                           item="written-off", model=said.model, version=version)  # fmt: skip
            lines += transfer(line, contra)
    return lines
