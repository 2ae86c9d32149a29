"""A version was retired: what is left of its asset, after what was due until then, is written off."""

from __future__ import annotations

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting, memorandum, transfer
from gristmill.books.rules.payload import read
from gristmill.books.writing_down import by_time


class VersionRetired(msgspec.Struct, frozen=True):
    model: str
    version: int


def postings(event: Event, book: Book) -> list[Posting]:
    """A version with nothing left still gets its line, by which the books know that it is retired."""
    said = read(event, VersionRetired)
    version = f"{said.model}@{said.version}"
    contra = accounts.written_off(version)
    due = by_time(book, version, int(event.happened_at))
    lines = [*due, memorandum(contra, 1.0, "retirement", model=said.model, version=version)]
    for currency, value in book.book_values(version).items():
        left = value - sum(line.micro for line in due if line.currency == currency and line.micro > 0)
        if left:
            line = Posting(account=accounts.WRITTEN_OFF, micro=left, currency=currency, quantity=0.0,
                           item="written-off", model=said.model, version=version)  # fmt: skip
            lines += transfer(line, contra)
    return lines
