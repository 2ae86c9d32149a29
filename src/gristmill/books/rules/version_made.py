"""A version was made: what its run, its datasets and people put into it becomes its asset."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.dataset_shares import shares
from gristmill.books.events import DEFAULT_EXPECTED_UNITS, Event
from gristmill.books.inheritance import inherited
from gristmill.books.ledger import Posting, memorandum
from gristmill.books.moving import moved, moved_run
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable
from gristmill.core.prices import parse_share
from gristmill.core.types import Basis


class VersionMade(msgspec.Struct, frozen=True):
    model: str
    version: int
    run: str | None = None
    datasets: tuple[str, ...] = ()
    expected_units: int | None = None
    trials: tuple[str, ...] = ()  # other runs that were part of it: a search's
    parent: str | None = None  # NAME@N that it was fine-tuned from
    inherits: str | None = None  # the share of its parent's cost that it takes over, as in 0.25


def postings(event: Event, book: Book) -> list[Posting]:
    """Raises Unprocessable when the expected units are no positive number, or the share is none."""
    said = read(event, VersionMade)
    version = f"{said.model}@{said.version}"
    if said.expected_units is not None and said.expected_units < 1:
        raise Unprocessable(f"The expected units of {version} should be 1 or more: nothing was posted.")
    asset = accounts.version_asset(version)
    lines = moved(book, accounts.model_asset(said.model), asset, model=said.model, version=version)
    for run in dict.fromkeys((said.run, *said.trials)):  # with attempts that failed before one was resumed
        lines += moved_run(book, run, asset, model=said.model, version=version) if run else []
    drawn: dict[tuple[str, str], int] = defaultdict(int)
    for dataset in dict.fromkeys(said.datasets):
        lines += shares(book, dataset, version, said.model, drawn)
    if said.parent is not None and said.inherits is not None:
        lines += inherited(book, version, said.parent, parse_share(said.inherits), lines)
    basis = Basis.assumed if said.expected_units is None else Basis.modelled
    expected = memorandum(accounts.expected_units(version), said.expected_units or DEFAULT_EXPECTED_UNITS, "prediction",
                          basis=basis, model=said.model, version=version)  # fmt: skip
    return [*lines, msgspec.structs.replace(expected, run=said.run or "")]
