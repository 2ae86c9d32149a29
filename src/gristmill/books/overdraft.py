"""What lines would take from where less is left: no asset, pool or experiment is ever worth less than nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.ledger import Posting

_HELD = ("assets", "shared", "undistributed")
_CONTRA = ("amortised", "written-off")


class Held(NamedTuple):
    """Where a value stands; `run` only with the experiments, of which each run has its own part."""

    account: str
    currency: str
    run: str = ""


def lacking(book: Book, lines: Iterable[Posting]) -> dict[Held, int]:
    """Micro-units that would be missing, by where."""
    change: dict[Held, int] = defaultdict(int)
    for line in lines:
        held = held_by(line)
        if held is not None and line.micro:
            change[held] += line.micro
    found = {}
    for held, micro in change.items():
        left = book.value(held.account, held.run or None).get(held.currency, 0) + micro
        if micro < 0 and left < 0:
            found[held] = -left
    return found


def held_by(line: Posting) -> Held | None:
    """Where the line moves a value; a version's contra accounts count with its asset."""
    kind = line.account.partition(":")[0]
    if kind in _CONTRA:
        return Held(accounts.version_asset(line.version), line.currency)
    if line.account == accounts.EXPERIMENTS:
        return Held(line.account, line.currency, line.run)
    return Held(line.account, line.currency) if kind in _HELD else None
