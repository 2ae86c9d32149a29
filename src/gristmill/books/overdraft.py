"""What lines would take from where less is left: no asset and no pool is ever worth less than nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.ledger import Posting

_HELD = ("assets", "shared", "undistributed")
_CONTRA = ("amortised", "written-off")


def lacking(book: Book, lines: Iterable[Posting]) -> dict[tuple[str, str], int]:
    """(account, currency) → micro-units that would be missing there; a version's contra accounts count with it."""
    change: dict[tuple[str, str], int] = defaultdict(int)
    for line in lines:
        held = _held(line)
        if held is not None and line.micro:
            change[held, line.currency] += line.micro
    found = {}
    for (account, currency), micro in change.items():
        if micro < 0 and (left := book.value(account).get(currency, 0) + micro) < 0:
            found[account, currency] = -left
    return found


def _held(line: Posting) -> str | None:
    """The account whose value the line moves."""
    kind = line.account.partition(":")[0]
    if kind in _CONTRA:
        return accounts.version_asset(line.version)
    return line.account if kind in _HELD else None
