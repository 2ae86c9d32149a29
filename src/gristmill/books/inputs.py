"""Inputs into the books: what a grant or a use costs, and where it goes; idle apart."""

from __future__ import annotations

from msgspec.structs import replace

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.exchange import carrying, paid
from gristmill.books.ledger import Posting, check_quantity, transfer
from gristmill.books.pricing import price_more
from gristmill.books.rate_cards import COST, ELECTRICITY, EMISSIONS, narrowed
from gristmill.core.types import Basis, Measure, Resources
from gristmill.core.units import BASE_UNITS

_JOULES_A_KWH = 3_600_000
CO2, EMBODIED = "emissions.electricity", "emissions.embodied"
_LESS_KNOWN = (Basis.measured, Basis.modelled, Basis.assumed)


class Stretch:
    """A time in which something held a grant: what of it was used goes to `used`, the rest to `idle`."""

    def __init__(self, book: Book, used: Posting, idle_account: str) -> None:
        self._book, self._used, self._idle_account = book, used, idle_account

    def spend(self, item: str, granted: float, used: float, basis: Basis = Basis.measured) -> list[Posting]:
        """Costs max(granted, used) of the item; lines for what was used and what was idle, none where both are 0."""
        check_quantity(granted, f"granted {item}")
        idle = max(0.0, granted - check_quantity(used, f"used {item}"))
        parts = [(self._used, used), (replace(self._used, account=self._idle_account), idle)]
        return [
            line for part, quantity in parts if quantity for line in put_in(self._book, part, item, quantity, basis)
        ]


def energy(book: Book, used: Posting, measure: Measure) -> list[Posting]:
    """Energy in kWh as it is known, and its CO2; an absent counter is posted as unknown, never as 0."""
    kwh = None if measure.value is None else check_quantity(measure.value, "energy") / _JOULES_A_KWH
    return electricity(book, used, kwh, measure.basis, measure.error)


def electricity(
    book: Book, used: Posting, kwh: float | None, basis: Basis, error: float | None, site: str = ""
) -> list[Posting]:
    """kWh and their CO2, by the price and the grams of the site's grid where the cards have them."""
    lines = put_in(book, used, ELECTRICITY, kwh, basis, error, site)
    rate = book.rate(EMISSIONS, narrowed(ELECTRICITY, site))
    grams = None if rate is None or kwh is None else rate.grams(kwh)
    known = Basis.modelled if rate is None else max(basis, Basis(rate.basis), key=_LESS_KNOWN.index)
    line = replace(used, item=CO2, unit="g_co2e", quantity=grams, basis=known, rate=rate.id if rate else "",
                   error=error)  # fmt: skip
    return lines + transfer(line, accounts.EMISSIONS)


def put_in(
    book: Book, to: Posting, item: str, quantity: float | None, basis: Basis, error: float | None = None,
    qualifier: str = "",
) -> list[Posting]:  # fmt: skip
    """The item's line on the account of `to`, and the input's; fractions of a micro-unit are carried on there.

    `qualifier` narrows the rate: compute.gpu:a100 before compute.gpu.

    A minute of an idle replica takes some 0.01 micro-units of energy: rounded alone, a year of them would be nothing.
    """
    rate = book.rate(COST, narrowed(item, qualifier))
    cost = price_more(rate, quantity, *book.standing(carrying(book, rate, to.account), item, rate, to.run or None))
    line = replace(to, item=item, unit=BASE_UNITS[item], basis=basis, rate=cost.rate, micro=cost.micro,
                   currency=cost.currency, unpriced=cost.unpriced, quantity=quantity, error=error)  # fmt: skip
    return paid(book, line, accounts.inputs(item))


def machine(
    stretch: Stretch, resources: Resources, wall_s: float, cpu_s: float, memory_bytes: float, gpu_s: float | None
) -> list[Posting]:
    """Cores, memory and GPUs granted for `wall_s`; `cpu_s`, `memory_bytes` and `gpu_s` are what was used of them.

    Of GPUs without a counter (`gpu_s` None) the whole grant counts as used: assumed, and not as idle.
    """
    gib = 2**30
    gpus = resources.gpus * wall_s
    known = Basis.assumed if gpu_s is None else Basis.measured
    return [
        *stretch.spend("compute.cpu", resources.cores * wall_s, cpu_s),
        *stretch.spend("compute.memory", resources.memory_bytes / gib * wall_s, memory_bytes / gib * wall_s),
        *stretch.spend("compute.gpu", gpus, gpus if gpu_s is None else gpu_s, known),
    ]
