"""A child version takes a share of its parent's capitalised cost, out of what the parent has not written down yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

from msgspec.structs import replace

from gristmill.books import accounts
from gristmill.books.accounts import input_kind
from gristmill.books.book import Book
from gristmill.books.ledger import Posting, transfer
from gristmill.core.money import split_largest_remainder

INHERITED = ".inherited"  # what an item ends with that came from a parent
SHARE = "share"  # the unit in which it went over


def inherited(book: Book, child: str, parent: str, share: Fraction, before: Sequence[Posting] = ()) -> list[Posting]:
    """Lines parent → child, split over the parent's items in proportion, so that the kinds of input stay known.

    The share is of all that is capitalised in the parent after the lines `before` of the same event, rounded down, and
    no more than is left of it.
    """
    held, left = _held(book, parent, before)
    lines: list[Posting] = []
    for currency, items in held.items():
        amount = min(int(share * sum(items.values())), max(0, left[currency]))
        parts = split_largest_remainder(amount, list(items.values())) or []
        for item, part in zip(items, parts, strict=True):
            lines += _given(child, parent, item, part, currency) if part else []
    return lines


def _held(book: Book, version: str, before: Sequence[Posting]) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """What stands in the version, by currency and item; and what is left of it, by currency."""
    account = accounts.version_asset(version)
    left: dict[str, int] = defaultdict(int, book.book_values(version))
    items: dict[tuple[str, str], int] = defaultdict(int)
    for row in book.sums(("currency", "item"), account):
        items[row["currency"], row["item"]] += row["micro"]
    for line in before:
        if line.account == account:
            items[line.currency, line.item] += line.micro
            left[line.currency] += line.micro
    held: dict[str, dict[str, int]] = defaultdict(dict)
    for (currency, item), micro in items.items():
        if micro > 0:
            held[currency][item] = micro
    return held, left


def _given(child: str, parent: str, item: str, micro: int, currency: str) -> list[Posting]:
    line = Posting(account=accounts.version_asset(child), micro=micro, currency=currency, quantity=0.0, unit=SHARE,
                   item=f"{input_kind(item)}{INHERITED}", model=child.partition("@")[0], version=child)  # fmt: skip
    debit, credit = transfer(line, accounts.version_asset(parent))
    return [debit, replace(credit, item=item, model=parent.partition("@")[0], version=parent)]
