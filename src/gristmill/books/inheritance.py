"""A child version takes a share of its parent's capitalised cost, out of what the parent has not written down yet."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from msgspec.structs import replace

from gristmill.books import accounts
from gristmill.books.accounts import MEMORANDUM, input_kind
from gristmill.books.book import Book
from gristmill.books.ledger import Posting, transfer
from gristmill.core.errors import Unprocessable
from gristmill.core.money import split_largest_remainder


def share_of(text: str) -> Fraction:
    """`0.25` → 1/4. Raises Unprocessable unless it is more than 0 and at most 1."""
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal("NaN")
    if not share.is_finite() or not 0 < share <= 1:
        raise Unprocessable(f"A share should be more than 0 and at most 1, and is {text!r}.", field="share", got=text)
    return Fraction(share)


def inherited(book: Book, child: str, parent: str, share: Fraction) -> list[Posting]:
    """Lines parent → child, split over the parent's items in proportion, so that the kinds of input stay known.

    The share is of all that was capitalised in the parent, rounded down, and no more than is left of it.
    """
    held: dict[str, dict[str, int]] = defaultdict(dict)
    for row in book.sums(("currency", "item"), accounts.version_asset(parent)):
        if row["currency"] != MEMORANDUM and row["micro"] > 0:
            held[row["currency"]][row["item"]] = row["micro"]
    left = book.book_values(parent)
    lines: list[Posting] = []
    for currency, items in held.items():
        amount = min(int(share * sum(items.values())), max(0, left.get(currency, 0)))
        parts = split_largest_remainder(amount, list(items.values())) or []
        for item, part in zip(items, parts, strict=True):
            lines += _given(child, parent, item, part, currency) if part else []
    return lines


def _given(child: str, parent: str, item: str, micro: int, currency: str) -> list[Posting]:
    line = Posting(account=accounts.version_asset(child), micro=micro, currency=currency, quantity=0.0, unit="share",
                   item=f"{input_kind(item)}.inherited", model=child.partition("@")[0], version=child)  # fmt: skip
    debit, credit = transfer(line, accounts.version_asset(parent))
    return [debit, replace(credit, item=item, model=parent.partition("@")[0], version=parent)]
