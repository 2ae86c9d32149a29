"""Inputs into the books: what a grant or a use costs, and where it goes; idle apart."""

from __future__ import annotations

from msgspec.structs import replace

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.ledger import Posting, check_quantity
from gristmill.books.pricing import price
from gristmill.books.rate_cards import COST
from gristmill.books.units import BASE_UNITS
from gristmill.core.money import split_largest_remainder
from gristmill.core.types import Basis, Measure, Resources

_JOULES_A_KWH = 3_600_000
_PARTS = 1_000_000  # quantities are split to the millionth of their unit


class Stretch:
    """A time in which something held a grant: what of it was used goes to `used`, the rest to `idle`."""

    def __init__(self, book: Book, used: Posting, idle_account: str) -> None:
        self._book, self._used, self._idle_account = book, used, idle_account

    def spend(self, item: str, granted: float, used: float) -> list[Posting]:
        """Costs max(granted, used) of the item; lines for both parts, none where both are 0."""
        check_quantity(granted, f"granted {item}")
        whole = max(granted, check_quantity(used, f"used {item}"))
        if whole == 0:
            return []
        cost = price(self._book.rate(COST, item), whole)
        parts = split_largest_remainder(cost.micro, [round(used * _PARTS), round((whole - used) * _PARTS)])
        micro_used, micro_idle = parts or [cost.micro, 0]
        line = replace(self._used, item=item, unit=BASE_UNITS[item], basis=Basis.measured, rate=cost.rate,
                       currency=cost.currency, unpriced=cost.unpriced)  # fmt: skip
        lines = [
            replace(line, micro=micro_used, quantity=used),
            replace(line, account=self._idle_account, micro=micro_idle, quantity=whole - used),
            replace(line, account=accounts.inputs(item), micro=-cost.micro, quantity=-whole),
        ]
        return [line for line in lines if line.quantity]


def energy(book: Book, used: Posting, measure: Measure) -> list[Posting]:
    """Energy in kWh as it is known; an absent counter is posted as unknown, never as 0."""
    item = "energy.electricity"
    quantity = None if measure.value is None else check_quantity(measure.value, "energy") / _JOULES_A_KWH
    cost = price(book.rate(COST, item), quantity)
    line = replace(used, item=item, unit=BASE_UNITS[item], basis=measure.basis, rate=cost.rate, micro=cost.micro,
                   currency=cost.currency, unpriced=cost.unpriced, quantity=quantity)  # fmt: skip
    return [line, line.counter(accounts.inputs(item))]


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
