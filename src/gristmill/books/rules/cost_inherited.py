"""A version was made from another (fine-tuned, distilled): it takes over a share of what its parent cost."""

from __future__ import annotations

import msgspec

from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.inheritance import inherited
from gristmill.books.ledger import Posting
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable
from gristmill.core.prices import parse_share


class CostInherited(msgspec.Struct, frozen=True):
    version: str  # NAME@N, the child
    parent: str  # NAME@N
    share: str  # of the parent's capitalised cost, as in 0.25


def postings(event: Event, book: Book) -> list[Posting]:
    """Raises Unprocessable for a share that is none, and where the parent has nothing left to give."""
    said = read(event, CostInherited)
    if said.version == said.parent or book.retired(said.version):
        raise Unprocessable(f"{said.version} cannot inherit from {said.parent}: nothing was posted.", field="version")
    lines = inherited(book, said.version, said.parent, parse_share(said.share))
    if not lines:
        raise Unprocessable(f"{said.parent} has no cost left that {said.version} could inherit: nothing was posted.",
                            field="parent")  # fmt: skip
    return lines
