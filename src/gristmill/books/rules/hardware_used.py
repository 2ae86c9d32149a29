"""Bought hardware was used for a time: its straight-line share of what it lost in worth over its life."""

from __future__ import annotations

from fractions import Fraction

import msgspec
from msgspec.structs import replace

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.exchange import paid
from gristmill.books.ledger import Posting, check_amount, check_quantity
from gristmill.books.places import place
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable
from gristmill.core.ids import check_name
from gristmill.core.prices import parse_share
from gristmill.core.types import Basis

ITEM = "compute.hardware"


class HardwareUsed(msgspec.Struct, frozen=True):
    name: str  # accelerators, servers, interconnect
    cost_micro: int
    left_micro: int  # what it is still worth when its life is over
    currency: str
    life_days: float
    days: float  # of its life that this use took
    on: str  # run:ID, version:NAME@N, model:NAME, dataset:NAME@N, shared:POOL
    share: str = "1"  # of the hardware, as in 0.25


def postings(event: Event, book: Book) -> list[Posting]:
    """(cost − left) · days / life · share, rounded once. Raises Unprocessable for days beyond the life."""
    said = read(event, HardwareUsed)
    for micro in (said.cost_micro, said.left_micro):
        check_amount(micro, said.currency, f"The hardware {said.name}")
    if said.left_micro > said.cost_micro:
        raise Unprocessable(f"The hardware {said.name} cannot be worth more after its life than it cost.", field="left")
    if not 0 < check_quantity(said.days, "days") <= check_quantity(said.life_days, "life_days"):
        raise Unprocessable(f"The {said.days:g} days of use should be more than 0 and within the life of "
                            f"{said.life_days:g} days.", field="days")  # fmt: skip
    lost = Fraction(said.cost_micro - said.left_micro) * Fraction(repr(said.days)) / Fraction(repr(said.life_days))
    share = parse_share(said.share)
    line = replace(
        place(said.on, book, "Hardware"), micro=round(lost * share), currency=said.currency,
        quantity=said.days * float(share), unit="day", item=f"{ITEM}:{check_name(said.name, 'hardware')}",
        basis=Basis.assumed,  # nobody measures how long a machine will serve
    )  # fmt: skip
    return paid(book, line, accounts.inputs(ITEM))
