"""Time has passed: a version that is written down by time is written down until now."""

from __future__ import annotations

import msgspec

from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting
from gristmill.books.rules.payload import read
from gristmill.books.writing_down import by_time


class WriteDownDue(msgspec.Struct, frozen=True):
    version: str  # NAME@N


def postings(event: Event, book: Book) -> list[Posting]:
    """Until the event's own second; nothing where more has been written down already."""
    return by_time(book, read(event, WriteDownDue).version, int(event.happened_at))
