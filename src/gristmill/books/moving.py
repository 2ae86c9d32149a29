"""Move what stands on an account to another, item by item, so that its kinds of input stay known."""

from __future__ import annotations

from msgspec.structs import replace

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.ledger import Posting
from gristmill.books.records import Row
from gristmill.core.types import Basis

_KEPT = ("item", "currency", "unit", "basis", "rate", "unpriced")
NOTHING = 1e-9  # what is left of sums of fractions that cancel


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
    """The whole balance of `source` (of one run on it, with `of_run`) → `account`, in all currencies and quantities.

    The debit carries the dimensions given; the credit those under which the balance stood. An unknown quantity moves as
    unknown.
    """
    lines: list[Posting] = []
    for whole in standing(book, source, of_run):
        line = replace(whole, account=account, run=run or whole.run, model=model or whole.model, version=version)
        lines += [line, whole.counter(source)]
    return lines


def moved_run(book: Book, run: str, account: str, *, model: str, version: str) -> list[Posting]:
    """All that a run cost outside of versions: in the making, and what had been given up as an experiment."""
    lines: list[Posting] = []
    for source in (accounts.run_asset(run), accounts.EXPERIMENTS):
        lines += moved(book, source, account, run=run, model=model, version=version, of_run=run)
    return lines


def standing(book: Book, source: str, of_run: str | None = None) -> list[Posting]:
    """The balance of `source` as lines, one for each item, currency, rate and whatever else tells them apart."""
    return [
        _line(source, row)
        for row in book.sums((*_KEPT, "run", "model"), source, run=of_run)
        if row["micro"] or abs(row["quantity"]) >= NOTHING or row["unknown"] > 0
    ]


def _line(account: str, row: Row) -> Posting:
    quantity = None if row["unknown"] > 0 and not row["quantity"] else float(row["quantity"])
    error = row["band"] / row["quantity"] if row["band"] and row["quantity"] else None
    return Posting(
        account=account, micro=row["micro"], currency=row["currency"], quantity=quantity, unit=row["unit"],
        basis=Basis(row["basis"]), rate=row["rate"], unpriced=row["unpriced"], item=row["item"], run=row["run"],
        model=row["model"], error=error,
    )  # fmt: skip
