"""Events of a small company, made by hand or by hypothesis."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from gristmill.books import events, records
from gristmill.books.events import Event
from gristmill.books.posting import post
from gristmill.books.usage import post_usage
from gristmill.core.types import Basis, Measure, Resources, ResourceUse, UsageRecord
from gristmill.store.database import Database
from gristmill.store.tables import metadata

NOON = 1_700_000_000.0  # of a day in 2023
TENANT = "mill"
JOULES = Measure(3_600_000.0, "J", Basis.modelled, "TDP model", 0.5)  # one kWh
NO_COUNTER = Measure(None, "J", Basis.measured, "none")


def in_memory() -> Database:
    database = Database("sqlite://")
    with database.write() as connection:
        metadata.create_all(connection)
    return database


def use(cpu_s: float = 3600.0, wall_s: float = 3600.0, energy: Measure = JOULES, memory: int = 2**30) -> ResourceUse:
    return ResourceUse(wall_s, cpu_s, memory, energy)


def run(id_: str = "run_1", attempt: int = 1, state: str = "succeeded", *, kind: str = "train", model: str = "digits",
        resources: Resources | None = None, used: ResourceUse | None = None) -> Event:  # fmt: skip
    """An hour on two cores and 2 GiB, of which one core, 1 GiB and 1 kWh were used."""
    granted = resources or Resources(cores=2.0, memory_bytes=2 * 2**30)
    return events.run_used(TENANT, id_, kind, model, attempt, state, NOON, granted, used or use())


def dataset(cost_micro: int | None = 120_000_000, name: str = "digits", currency: str | None = "USD") -> Event:
    return events.dataset_added(TENANT, name, 1, NOON, rows=1797, size=10**6, cost_micro=cost_micro, currency=currency)


def made(version: int = 1, run_id: str | None = "run_1", *, datasets: tuple[str, ...] = ("digits@1",),
         units: int | None = 1000, model: str = "digits") -> Event:  # fmt: skip
    return events.version_made(TENANT, model, version, run_id, list(datasets), NOON, units)


def replica(index: int = 0, *, busy_s: float = 15.0, cpu_s: float = 20.0, model: str = "digits@1") -> Event:
    return events.replica_used(
        TENANT, "replica_1", index, "numbers", model, NOON, NOON + 60, Resources(2.0, 2**30), cpu_s, busy_s, 100, JOULES
    )


def hours(on: str, count: float = 2.0, id_: str = "hours_1", rate: str | None = None) -> Event:
    return events.hours_declared(TENANT, id_, "data scientist", count, on, NOON, rate)


def usage(count: int, first: int = 0, **changes: Any) -> list[UsageRecord]:
    """Requests of one row each, one in ten refused."""
    said: dict[str, Any] = {
        "tenant": TENANT, "key": "k1", "endpoint": "numbers", "model": "digits@1", "digest": "sha256:0",
        "operation": "infer", "items": 1, "compute_us": 100, "latency_us": 900, "bytes_in": 50, "bytes_out": 60,
        "happened_at": NOON,
    }  # fmt: skip
    said |= changes
    return [
        UsageRecord(**({"id": f"req_{number}", "status": 422 if number % 10 == 9 else 200} | said))
        for number in range(first, first + count)
    ]


def balances(database: Database, by: str = "account", tenant: str = TENANT) -> dict[str, int]:
    """Micro-units by account (whatever the currency)."""
    found: dict[str, int] = defaultdict(int)
    with database.read() as connection:
        for row in records.sums(connection, tenant, (by,)):
            found[row[by]] += row["micro"]
    return dict(found)


def ship(url: str) -> None:
    """200 requests in four batches, each in its own transaction."""
    database = Database(url)
    with database.write() as connection:
        post(connection, dataset())
        post(connection, made(run_id=None))
    for start in range(0, 200, 50):
        with database.write() as connection:
            post_usage(connection, "gateway", usage(50, start), start + 50)
    database.close()
