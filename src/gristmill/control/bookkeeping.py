"""What control tells the books: events into the outbox, in the transaction of what they tell of."""

from __future__ import annotations

from sqlalchemy import Connection

from gristmill.books import events
from gristmill.books.events import Event
from gristmill.bundles.manifest import Manifest
from gristmill.control.state import Replica, Run
from gristmill.core.supervision import Pong
from gristmill.core.types import ResourceUse
from gristmill.data.records import DatasetVersion
from gristmill.store.outbox import enqueue


def tell(connection: Connection, event: Event) -> None:
    """Queue the event; the shipper posts it. Idempotent by the event's id."""
    enqueue(connection, event.id, event.tenant, event.kind, event.payload, event.happened_at)


def dataset_added(connection: Connection, version: DatasetVersion) -> None:
    tell(
        connection,
        events.dataset_added(
            version.tenant,
            version.name,
            version.version,
            version.created_at,
            rows=version.rows,
            size=version.bytes,
            cost_micro=version.cost_micro,
            currency=version.currency,
        ),
    )


def run_used(connection: Connection, run: Run, state: str, use: ResourceUse, at: float) -> None:
    """The attempt `run.attempt`; `state` is the run's own after it."""
    model = run.name if run.kind == "train" else None
    event = events.run_used(run.tenant, run.id, run.kind, model, run.attempt, state, at, run.granted, use)
    tell(connection, event)


def version_made(
    connection: Connection, tenant: str, manifest: Manifest, version: int, run: str | None, at: float
) -> None:
    """What the run and its datasets cost goes into the version."""
    trained_here = run is not None and manifest.lineage.run == run
    datasets = list(manifest.lineage.datasets) if trained_here else []  # a bundle's that comes back were paid for
    parent = manifest.lineage.parent if trained_here else None
    share = (manifest.lineage.recipe or {}).get("base_share")
    event = events.version_made(tenant, manifest.name, version, run, datasets, at, None, parent,
                                str(share) if share else None)  # fmt: skip
    tell(connection, event)


def version_retired(connection: Connection, tenant: str, model: str, version: int, at: float) -> None:
    tell(connection, events.version_retired(tenant, model, version, at))


def replica_used(connection: Connection, replica: Replica, index: int, start: float, end: float, used: Pong) -> None:
    """The stretch `index` of a replica's life; `used` is what its counters moved in it."""
    tell(
        connection,
        events.replica_used(
            replica.tenant,
            replica.id,
            index,
            replica.endpoint,
            replica.model,
            start,
            end,
            replica.granted,
            used.use.cpu_s,
            used.busy_total_s,
            used.rows,
            used.use.energy,
        ),
    )
