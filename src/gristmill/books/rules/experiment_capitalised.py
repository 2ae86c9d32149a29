"""What a run cost turned out to be part of a version's R&D: a failed attempt at it, or a trial of its search."""

from __future__ import annotations

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting
from gristmill.books.moving import moved_run
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable


class ExperimentCapitalised(msgspec.Struct, frozen=True):
    run: str
    version: str  # NAME@N


def postings(event: Event, book: Book) -> list[Posting]:
    """Raises Unprocessable for a retired version, and for a run without cost that stands outside of versions."""
    said = read(event, ExperimentCapitalised)
    if book.retired(said.version):
        raise Unprocessable(f"{said.version} is retired: nothing more is capitalised in it.", field="version")
    asset = accounts.version_asset(said.version)
    lines = moved_run(book, said.run, asset, model=said.version.partition("@")[0], version=said.version)
    if not lines:
        raise Unprocessable(f"The run {said.run} has no cost outside of versions: nothing was posted.", field="run")
    return lines
