"""A replica lived for a while: what it used while busy is the cost of serving, the rest of its grant is idle."""

from __future__ import annotations

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.inputs import Stretch, energy, machine
from gristmill.books.ledger import Posting, check_quantity
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable
from gristmill.core.types import Measure, Resources


class ReplicaUsed(msgspec.Struct, frozen=True):
    replica: str
    endpoint: str
    model: str  # NAME@VERSION
    start: float = msgspec.field(name="from")
    end: float = msgspec.field(name="to")
    resources: Resources
    cpu_s: float
    busy_s: float
    energy: Measure
    rows: int = 0


def postings(event: Event, book: Book) -> list[Posting]:
    """Busy time holds all of the grant: cores that wait for one another's batch serve nobody else."""
    said = read(event, ReplicaUsed)
    wall = said.end - said.start
    if wall < 0:
        raise Unprocessable(f"The replica {said.replica} cannot end before it began: nothing was posted.")
    busy = min(check_quantity(said.busy_s, "busy_s"), wall)
    version = said.model
    used = Posting(account=accounts.served(version), model=version.partition("@")[0], version=version,
                   endpoint=said.endpoint)  # fmt: skip
    stretch = Stretch(book, used, accounts.idle_endpoint(said.endpoint))
    share = busy / wall if wall else 0.0
    cpu = max(check_quantity(said.cpu_s, "cpu_s"), busy * said.resources.cores)
    memory = said.resources.memory_bytes * share
    return machine(stretch, said.resources, wall, cpu, memory, said.resources.gpus * busy) + energy(
        book, used, said.energy
    )
