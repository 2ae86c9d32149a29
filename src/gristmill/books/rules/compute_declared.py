"""Machine time that Gristmill did not grant: a cloud's or a cluster's, its energy, and what making it emitted."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.inputs import EMBODIED, electricity, put_in
from gristmill.books.ledger import Posting, check_quantity, transfer
from gristmill.books.places import place
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable
from gristmill.core.types import Basis

_HOUR_S, _G_PER_KG = 3600, 1000
_NOTHING_SAID = "Nothing was used: say gpu_hours, core_hours, gib_hours, kwh or embodied_kg."


class ComputeDeclared(msgspec.Struct, frozen=True):
    on: str  # run:ID, version:NAME@N, model:NAME, dataset:NAME@N, shared:POOL
    gpu_hours: float = 0.0
    core_hours: float = 0.0
    gib_hours: float = 0.0
    kwh: float | None = None  # of the machines; None: nobody counted them
    pue: float = 1.0  # of the building: all the electricity it took, over the machines'
    hardware: str = ""  # narrows the price of its hours, as in compute.gpu:a100
    site: str = ""  # narrows the price of its electricity and the grams of its grid
    embodied_kg: float = 0.0  # CO2e of making the hardware, the share of this use
    basis: Basis = Basis.assumed
    error: float | None = None  # relative half width of a 95 % band


def postings(event: Event, book: Book) -> list[Posting]:
    """Raises Unprocessable for what is negative or not finite, and where nothing was used."""
    said = read(event, ComputeDeclared)
    to = place(said.on, book, "Machine time")
    hours = {"compute.gpu": said.gpu_hours, "compute.cpu": said.core_hours, "compute.memory": said.gib_hours}
    lines = [
        line for item, quantity in hours.items() if check_quantity(quantity, f"hours of {item}")
        for line in put_in(book, to, item, quantity * _HOUR_S, said.basis, said.error, said.hardware)
    ]  # fmt: skip
    if said.kwh is not None:
        kwh = check_quantity(said.kwh, "kwh") * max(1.0, check_quantity(said.pue, "pue"))
        lines += electricity(book, to, kwh, said.basis, said.error, said.site)
    if check_quantity(said.embodied_kg, "embodied_kg"):
        grams = said.embodied_kg * _G_PER_KG
        line = replace(to, item=EMBODIED, unit="g_co2e", quantity=grams, basis=said.basis, error=said.error)
        lines += transfer(line, accounts.EMBODIED)
    if not lines:
        raise Unprocessable(_NOTHING_SAID)
    return lines
