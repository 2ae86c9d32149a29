"""A posting: one line of an event in the books; and how lines are made so that they balance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import msgspec

from gristmill.books.accounts import MEMORANDUM
from gristmill.core.errors import Internal, Unprocessable
from gristmill.core.money import CURRENCIES
from gristmill.core.types import Basis


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """`micro` micro-units of `currency`, positive for a debit; `quantity` has the same sign, None when not known.

    `rate` is the id of the rate that priced it. `unpriced`: what was used has no price; its `micro` 0 is not "free".
    `error` is the relative half width of the quantity's 95 % band, where it is known.
    """

    account: str
    micro: int = 0
    currency: str = MEMORANDUM
    quantity: float | None = None
    unit: str = ""
    basis: Basis = Basis.measured
    rate: str = ""
    unpriced: bool = False
    item: str = ""
    model: str = ""
    version: str = ""
    endpoint: str = ""
    run: str = ""
    error: float | None = None

    def counter(self, account: str) -> Posting:
        """The same on the other side, of `account`."""
        quantity = None if self.quantity is None else -self.quantity
        return msgspec.structs.replace(self, account=account, micro=-self.micro, quantity=quantity)


def posting_of(row: Mapping[str, Any]) -> Posting:
    """A stored line again."""
    return Posting(
        account=row["account"], micro=row["micro"], currency=row["currency"], quantity=row["quantity"],
        basis=Basis(row["basis"]), unpriced=row["unpriced"], error=row["error"],
        **{name: row[name] or "" for name in ("unit", "rate", "model", "version", "endpoint", "run", "item")},
    )  # fmt: skip


def transfer(line: Posting, source: str) -> list[Posting]:
    """`line` debited, and `source` credited with it."""
    return [line, line.counter(source)]


def memorandum(
    account: str, quantity: float, unit: str, *, basis: Basis = Basis.measured, item: str = "", model: str = "",
    version: str = "", endpoint: str = "",
) -> Posting:  # fmt: skip
    """A quantity without money."""
    return Posting(account=account, quantity=quantity, unit=unit, basis=basis, item=item, model=model, version=version,
                   endpoint=endpoint)  # fmt: skip


def check_balanced(event: str, postings: Iterable[Posting]) -> None:
    """Raises Internal unless the postings sum to zero in every currency."""
    sums: dict[str, int] = defaultdict(int)
    for posting in postings:
        sums[posting.currency] += posting.micro
    wrong = [currency for currency, total in sums.items() if total]
    if wrong:
        raise Internal(f"Event {event} does not balance in {', '.join(wrong)}: nothing was posted.")


def check_quantity(value: float, what: str) -> float:
    """Raises Unprocessable unless it is finite and not negative."""
    if not isfinite(value) or value < 0:
        raise Unprocessable(f"{what} should be 0 or more and finite, and is {value!r}: nothing was posted.", field=what)
    return value


def check_amount(micro: int, currency: str, what: str) -> int:
    """Raises Unprocessable unless it is 0 or more of a known currency."""
    if micro < 0 or currency not in CURRENCIES:
        raise Unprocessable(
            f"{what} should cost 0 or more in a known currency, and costs {micro} micro-units of {currency}: nothing "
            f"was posted.", field="amount",
        )  # fmt: skip
    return micro
