"""How a version is written down was chosen: by units, in a straight line over days, or with a half-life in days."""

from __future__ import annotations

import msgspec

from gristmill.books import writing_down
from gristmill.books.amortization import Method
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable

_DAY_S = 86_400


class WriteDownChosen(msgspec.Struct, frozen=True):
    version: str  # NAME@N
    method: Method
    days: float | None = None  # of the life, or of the half-life


def postings(event: Event, book: Book) -> list[Posting]:
    """Raises Unprocessable without days where the method needs them."""
    said = read(event, WriteDownChosen)
    at = int(event.happened_at)
    if said.method == Method.units_of_production:
        return writing_down.chosen(book, said.version, said.method, 1, at)
    if said.days is None or not 0 < said.days < 1e6:
        raise Unprocessable(f"To write {said.version} down by {said.method} takes its days, more than 0 and below a "
                            f"million: nothing was posted.", field="days")  # fmt: skip
    seconds = max(1, round(said.days * _DAY_S))
    end = at + seconds if said.method == Method.straight_line else seconds
    return writing_down.chosen(book, said.version, said.method, end, at)
