"""Inputs into the books: what a grant or a use costs, and where it goes; idle apart."""

from __future__ import annotations

from msgspec.structs import replace

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.ledger import Posting, check_quantity, transfer
from gristmill.books.pricing import price_more
from gristmill.books.rate_cards import COST
from gristmill.books.units import BASE_UNITS
from gristmill.core.types import Basis, Measure, Resources

_JOULES_A_KWH = 3_600_000


class Stretch:
    """A time in which something held a grant: what of it was used goes to `used`, the rest to `idle`."""

    def __init__(self, book: Book, used: Posting, idle_account: str) -> None:
        self._book, self._used, self._idle_account = book, used, idle_account

    def spend(self, item: str, granted: float, used: float) -> list[Posting]:
        """Costs max(granted, used) of the item; lines for what was used and what was idle, none where both are 0."""
        check_quantity(granted, f"granted {item}")
        idle = max(0.0, granted - check_quantity(used, f"used {item}"))
        parts = [(self._used, used), (replace(self._used, account=self._idle_account), idle)]
        return [
            line
            for part, quantity in parts
            if quantity
            for line in _put_in(self._book, part, item, quantity, Basis.measured)
        ]


def energy(book: Book, used: Posting, measure: Measure) -> list[Posting]:
    """Energy in kWh as it is known; an absent counter is posted as unknown, never as 0."""
    quantity = None if measure.value is None else check_quantity(measure.value, "energy") / _JOULES_A_KWH
    return _put_in(book, used, "energy.electricity", quantity, measure.basis, measure.error)


def _put_in(
    book: Book, to: Posting, item: str, quantity: float | None, basis: Basis, error: float | None = None
) -> list[Posting]:
    """The item's line on the account of `to`, and the input's; fractions of a micro-unit are carried on there.

    A minute of an idle replica takes some 0.01 micro-units of energy: rounded alone, a year of them would be nothing.
    """
    rate = book.rate(COST, item)
    cost = price_more(rate, quantity, *book.standing(to.account, item, rate, to.run or None))
    line = replace(to, item=item, unit=BASE_UNITS[item], basis=basis, rate=cost.rate, micro=cost.micro,
                   currency=cost.currency, unpriced=cost.unpriced, quantity=quantity, error=error)  # fmt: skip
    return transfer(line, accounts.inputs(item))


def machine(
    stretch: Stretch, resources: Resources, wall_s: float, cpu_s: float, memory_bytes: float, gpu_s: float
) -> list[Posting]:
    """Cores, memory and GPUs granted for `wall_s`; `cpu_s`, `memory_bytes` and `gpu_s` are what was used of them."""
    gib = 2**30
    return [
        *stretch.spend("compute.cpu", resources.cores * wall_s, cpu_s),
        *stretch.spend("compute.memory", resources.memory_bytes / gib * wall_s, memory_bytes / gib * wall_s),
        *stretch.spend("compute.gpu", resources.gpus * wall_s, gpu_s),
    ]
