"""A dataset's cost is shared equally by the versions made from it: each new one takes its part of what the others hold.

Prospectively: an older version gives what it holds too much, and never what it has already written down or off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec.structs import replace

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.ledger import Posting, transfer
from gristmill.books.moving import moved
from gristmill.books.places import of_version
from gristmill.core.money import split_largest_remainder


def shares(book: Book, dataset: str, version: str, model: str, drawn: dict[tuple[str, str], int]) -> list[Posting]:
    """Lines that give `version` its part of `dataset` (NAME@N).

    `drawn`: what this event already took of each (version, currency), so that two datasets do not take it twice.
    """
    asset, source, item = accounts.version_asset(version), accounts.dataset_asset(dataset), f"data.{dataset}"
    waiting: dict[str, int] = defaultdict(int)
    for row in book.sums(("currency",), source):
        waiting[row["currency"]] += row["micro"]
    lines = [_as_data(line, asset, item) for line in moved(book, source, asset, model=model, version=version)]
    if _unpriced(book, item) and not any(line.unpriced for line in lines):
        line = Posting(account=asset, unpriced=True, item=item, unit="row", model=model, version=version)
        lines += transfer(line, source)
    held: dict[str, dict[str, int]] = defaultdict(dict)
    for row in book.sums(("currency", "version"), "assets:version:", item=item):
        if row["version"] != version and row["micro"]:
            held[row["currency"]][row["version"]] = row["micro"]
    for currency, by_version in held.items():
        whole = sum(by_version.values()) + waiting[currency]
        parts = split_largest_remainder(whole, [1] * (len(by_version) + 1)) or []
        for (other, holds), part in zip(by_version.items(), parts, strict=False):
            left = book.book_values(other).get(currency, 0) - drawn[other, currency]
            given = max(0, min(holds - part, left))
            if given:
                drawn[other, currency] += given
                line = Posting(account=asset, micro=given, currency=currency, quantity=0.0, item=item, unit="row",
                               model=model, version=version)  # fmt: skip
                debit, credit = transfer(line, accounts.version_asset(other))
                lines += [debit, _of(credit, other)]
    return lines


def followed(book: Book, lines: Sequence[Posting]) -> list[Posting]:
    """`lines` took a cost of datasets back and put another in its place: what no longer waits there is given back by
    the versions that hold it, each its part, and they take as much of the other.
    """
    prefix = accounts.dataset_asset("")
    found: list[Posting] = []
    for account in dict.fromkeys(line.account for line in lines if line.account.startswith(prefix)):
        of_dataset = [line for line in lines if line.account == account]
        waiting, item = book.value(account), f"data.{account.removeprefix(prefix)}"
        for old in (line for line in of_dataset if line.micro < 0):
            gone = max(0, -old.micro - max(0, waiting.get(old.currency, 0)))
            holders = _holders(book, item, old.currency)
            found += _spread(book, replace(old, item=item), -gone, holders)
            for new in (line for line in of_dataset if line.micro > 0):
                found += _spread(book, replace(new, item=item), new.micro * gone // -old.micro, holders)
    return found


def _holders(book: Book, item: str, currency: str) -> dict[str, int]:
    rows = book.sums(("version", "currency"), "assets:version:", item=item)
    return {row["version"]: row["micro"] for row in rows if row["currency"] == currency and row["micro"] > 0}


def _spread(book: Book, line: Posting, micro: int, holders: dict[str, int]) -> list[Posting]:
    """`micro` from the account of `line` to the versions in proportion, or from them to it where it is negative."""
    found: list[Posting] = []
    for version, part in zip(holders, split_largest_remainder(abs(micro), list(holders.values())) or (), strict=False):
        place = of_version(version, book)
        there = replace(line, account=place.account, version=version, model=place.model, quantity=0.0, unit="row",
                        micro=part if micro > 0 else -part)  # fmt: skip
        found += transfer(there, line.account) if part else []
    return found


def _unpriced(book: Book, item: str) -> bool:
    """Whether other versions hold a part of the dataset that has no price."""
    held = book.sums((), "assets:version:", item=item, unpriced=True)
    return any(row["quantity"] or row["unknown"] > 0 for row in held)


def _as_data(line: Posting, asset: str, item: str) -> Posting:
    """In the version's asset all that a dataset brings (also hours spent on it) is data."""
    return replace(line, item=item) if line.account == asset else line


def _of(credit: Posting, version: str) -> Posting:
    return replace(credit, version=version, model=version.partition("@")[0])
