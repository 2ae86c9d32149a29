"""A version was made: what its run, its datasets and people put into it becomes its asset."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.dataset_shares import shares
from gristmill.books.events import DEFAULT_EXPECTED_UNITS, Event
from gristmill.books.ledger import Posting, memorandum
from gristmill.books.moving import moved
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable
from gristmill.core.types import Basis


class VersionMade(msgspec.Struct, frozen=True):
    model: str
    version: int
    run: str | None = None
    datasets: tuple[str, ...] = ()
    expected_units: int | None = None


def postings(event: Event, book: Book) -> list[Posting]:
    """Raises Unprocessable when the expected units are no positive number."""
    said = read(event, VersionMade)
    version = f"{said.model}@{said.version}"
    if said.expected_units is not None and said.expected_units < 1:
        raise Unprocessable(f"The expected units of {version} should be 1 or more: nothing was posted.")
    asset = accounts.version_asset(version)
    lines = moved(book, accounts.model_asset(said.model), asset, model=said.model, version=version)
    if said.run is not None:
        for source in (accounts.run_asset(said.run), accounts.EXPERIMENTS):  # a failed attempt, then resumed
            lines += moved(book, source, asset, run=said.run, model=said.model, version=version, of_run=said.run)
    drawn: dict[tuple[str, str], int] = defaultdict(int)
    for dataset in dict.fromkeys(said.datasets):
        lines += shares(book, dataset, version, said.model, drawn)
    basis = Basis.assumed if said.expected_units is None else Basis.modelled
    expected = memorandum(accounts.expected_units(version), said.expected_units or DEFAULT_EXPECTED_UNITS, "prediction",
                          basis=basis, model=said.model, version=version)  # fmt: skip
    return [*lines, msgspec.structs.replace(expected, run=said.run or "")]
