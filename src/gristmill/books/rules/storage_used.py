"""Blobs were kept for a time: their GB-months, by the dataset or version that owns them."""

from __future__ import annotations

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.inputs import put_in
from gristmill.books.ledger import Posting, check_quantity
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable
from gristmill.core.types import Basis

MONTH_S = 730 * 3600  # as clouds bill: a twelfth of 365 days
_GB = 10**9
_ITEM = "storage.blobs"


class StorageUsed(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    start: float
    end: float
    owners: dict[str, int]  # dataset:NAME@N or version:NAME@N → bytes
    basis: Basis = Basis.measured


def postings(event: Event, book: Book) -> list[Posting]:
    """Until a version is made of it a dataset's storage is part of its cost; afterwards, as a version's, an expense."""
    said = read(event, StorageUsed)
    if said.end < said.start:
        raise Unprocessable("Storage cannot end before it began: nothing was posted.", field="to")
    lines: list[Posting] = []
    for owner, size in sorted(said.owners.items()):
        check_quantity(size, f"bytes of {owner}")
        months = size / _GB * (said.end - said.start) / MONTH_S
        lines += put_in(book, _owned(owner, book), _ITEM, months, said.basis)
    return lines


def _owned(owner: str, book: Book) -> Posting:
    kind, _, name = owner.partition(":")
    if kind not in ("dataset", "version") or "@" not in name:
        raise Unprocessable(f"{owner!r} owns no blobs: owners are dataset:NAME@N and version:NAME@N.", got=owner)
    if kind == "version":
        return Posting(account=accounts.stored(owner), version=name, model=name.partition("@")[0])
    in_use = book.sums((), accounts.version_asset(""), item=f"data.{name}")
    return Posting(account=accounts.stored(owner) if in_use else accounts.dataset_asset(name))
