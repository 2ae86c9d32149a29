"""The platform had cores, memory and GPUs that it granted to nobody: shared cost, in the pool `platform`."""

from __future__ import annotations

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.inputs import put_in
from gristmill.books.ledger import Posting, check_quantity
from gristmill.books.rules.payload import read
from gristmill.core.types import Basis


class CapacityIdle(msgspec.Struct, frozen=True):
    core_s: float
    gib_s: float
    gpu_s: float


def postings(event: Event, book: Book) -> list[Posting]:
    """At what a grant of them would have cost. Raises Unprocessable for a negative or non-finite quantity."""
    said = read(event, CapacityIdle)
    quantities = {"compute.cpu": said.core_s, "compute.memory": said.gib_s, "compute.gpu": said.gpu_s}
    to = Posting(account=accounts.shared(accounts.PLATFORM))
    return [
        line
        for item, quantity in quantities.items()
        if check_quantity(quantity, item)
        for line in put_in(book, to, item, quantity, Basis.measured)
    ]
