"""Move what stands on an account to another, item by item, so that its kinds of input stay known."""

from __future__ import annotations

from msgspec.structs import replace

from gristmill.books.book import Book
from gristmill.books.ledger import Posting, transfer
from gristmill.books.records import Row
from gristmill.core.types import Basis

_KEPT = ("item", "currency", "unit", "basis", "rate", "unpriced")
_NOTHING = 1e-9  # what is left of sums of fractions that cancel


def moved(
    book: Book,
    source: str,
    account: str,
    *,
    run: str = "",
    model: str = "",
    version: str = "",
    of_run: str | None = None,
) -> list[Posting]:
    """The whole balance of `source` (of one run on it, with `of_run`) → `account`, in both currencies and quantities.

    The debit carries the dimensions given; the credit those under which the balance stood. An unknown quantity moves as
    unknown.
    """
    lines: list[Posting] = []
    for row in book.sums((*_KEPT, "run", "model"), source, run=of_run):
        if not row["micro"] and abs(row["quantity"]) < _NOTHING and row["unknown"] <= 0:
            continue
        quantity = None if row["unknown"] > 0 and not row["quantity"] else float(row["quantity"])
        line = Posting(
            account=account, micro=row["micro"], currency=row["currency"], quantity=quantity, unit=row["unit"],
            basis=Basis(row["basis"]), rate=row["rate"], unpriced=row["unpriced"], item=row["item"],
            run=run or row["run"], model=model or row["model"], version=version, error=error_of(row),
        )  # fmt: skip
        debit, credit = transfer(line, source)
        lines += [debit, _standing(credit, row["run"], row["model"])]
    return lines


def error_of(row: Row) -> float | None:
    """Relative half width of the band of a balance."""
    return row["band"] / row["quantity"] if row["band"] and row["quantity"] else None


def _standing(credit: Posting, run: str, model: str) -> Posting:
    return replace(credit, run=run, model=model, version="")
