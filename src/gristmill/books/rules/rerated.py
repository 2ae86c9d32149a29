"""An event was rated again, by the rates known since."""

from __future__ import annotations

import msgspec

from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting
from gristmill.books.rerating import rerated
from gristmill.books.rules.payload import read


class Rerated(msgspec.Struct, frozen=True):
    of: str  # the event's id


def postings(event: Event, book: Book) -> list[Posting]:
    """Raises NotFound for an event that there is not."""
    return rerated(book, read(event, Rerated).of)
