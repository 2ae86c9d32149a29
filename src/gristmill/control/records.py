"""Rows of tenants, keys, runs, endpoints, rollouts, replicas and the audit: all SQL of this room."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection as Connection
from sqlalchemy import delete, insert, select, update

from gristmill.control.state import LIVE, Endpoint, Replica, Rollout, Run
from gristmill.store.database import insert_new
from gristmill.store.tables import (
    audit,
    dataset_versions,
    endpoints,
    keys,
    replicas,
    rollouts,
    runs,
    tenants,
    versions,
)

Values = dict[str, Any]


# --- who


def add_tenant(connection: Connection, tenant: str, at: float) -> bool:
    return insert_new(connection, tenants, [{"tenant": tenant, "created_at": at, "weight": 1}]) == 1


def tenant_rows(connection: Connection) -> list[Values]:
    return _documents(connection, select(tenants).order_by(tenants.c.tenant))


def add_key(connection: Connection, row: Values) -> None:
    insert_new(connection, keys, [row])


def key_row(connection: Connection, key: str) -> Values | None:
    return next(iter(_documents(connection, select(keys).where(keys.c.id == key))), None)


def key_rows(connection: Connection, tenant: str | None = None) -> list[Values]:
    query = select(keys).order_by(keys.c.created_at)
    return _documents(connection, query if tenant is None else query.where(keys.c.tenant == tenant))


def revoke_key(connection: Connection, key: str, at: float) -> None:
    connection.execute(update(keys).where(keys.c.id == key, keys.c.revoked_at.is_(None)).values(revoked_at=at))


def note(connection: Connection, tenant: str, at: float, key: str, action: str, target: str, **detail: Any) -> None:
    """Write into the audit who did what to what."""
    row = {"tenant": tenant, "at": at, "key": key, "action": action, "target": target, "detail": detail}
    connection.execute(insert(audit).values(row))


# --- what is stored


def dataset_rows(connection: Connection) -> list[Values]:
    return _documents(connection, select(dataset_versions))


def version_rows(connection: Connection) -> list[Values]:
    return _documents(connection, select(versions))


# --- runs


def add_run(connection: Connection, row: Values) -> None:
    connection.execute(insert(runs).values(row))


def run(connection: Connection, run_id: str, tenant: str | None = None) -> Run | None:
    query = select(runs).where(runs.c.id == run_id)
    row = connection.execute(query if tenant is None else query.where(runs.c.tenant == tenant)).one_or_none()
    return None if row is None else Run(*row)


def tenant_runs(connection: Connection, tenant: str, limit: int) -> list[Run]:
    """Newest first."""
    query = select(runs).where(runs.c.tenant == tenant).order_by(runs.c.created_at.desc()).limit(limit)
    return [Run(*row) for row in connection.execute(query)]


def open_runs(connection: Connection) -> list[Run]:
    """Those that have not ended, oldest first."""
    query = select(runs).where(runs.c.state.in_(("queued", "starting", "running"))).order_by(runs.c.created_at)
    return [Run(*row) for row in connection.execute(query)]


def update_run(connection: Connection, run_id: str, **values: Any) -> None:
    connection.execute(update(runs).where(runs.c.id == run_id).values(**values))


# --- endpoints


def endpoint(connection: Connection, tenant: str, name: str) -> Endpoint | None:
    query = select(endpoints).where(endpoints.c.tenant == tenant, endpoints.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else Endpoint(*row)


def all_endpoints(connection: Connection, tenant: str | None = None) -> list[Endpoint]:
    query = select(endpoints).order_by(endpoints.c.tenant, endpoints.c.name)
    rows = connection.execute(query if tenant is None else query.where(endpoints.c.tenant == tenant))
    return [Endpoint(*row) for row in rows]


def add_endpoint(connection: Connection, row: Values) -> bool:
    """False when the name was taken meanwhile."""
    return insert_new(connection, endpoints, [row]) == 1


def change_endpoint(connection: Connection, found: Endpoint, **values: Any) -> bool:
    """Compare and set on the generation; False when someone else changed it first."""
    where = (
        endpoints.c.tenant == found.tenant,
        endpoints.c.name == found.name,
        endpoints.c.generation == found.generation,
    )
    return connection.execute(update(endpoints).where(*where).values(**values)).rowcount == 1


def remove_endpoint(connection: Connection, found: Endpoint) -> None:
    where = (endpoints.c.tenant == found.tenant, endpoints.c.name == found.name)
    connection.execute(delete(endpoints).where(*where))
    connection.execute(delete(rollouts).where(rollouts.c.tenant == found.tenant, rollouts.c.endpoint == found.name))


def add_rollout(connection: Connection, row: Values) -> bool:
    """False when another change took the generation."""
    return insert_new(connection, rollouts, [row]) == 1


def rollout(connection: Connection, tenant: str, rollout_id: str) -> Rollout | None:
    query = select(rollouts).where(rollouts.c.id == rollout_id, rollouts.c.tenant == tenant)
    row = connection.execute(query).one_or_none()
    return None if row is None else Rollout(*row)


def newest_rollout(connection: Connection, tenant: str, name: str) -> Rollout | None:
    query = select(rollouts).where(rollouts.c.tenant == tenant, rollouts.c.endpoint == name)
    row = connection.execute(query.order_by(rollouts.c.generation.desc()).limit(1)).one_or_none()
    return None if row is None else Rollout(*row)


def update_rollout(connection: Connection, rollout_id: str, **values: Any) -> None:
    connection.execute(update(rollouts).where(rollouts.c.id == rollout_id).values(**values))


# --- replicas


def add_replica(connection: Connection, row: Values) -> None:
    connection.execute(insert(replicas).values(row))


def live_replicas(connection: Connection, tenant: str | None = None, name: str | None = None) -> list[Replica]:
    """Starting, ready or draining, oldest first; of one endpoint where it is given."""
    query = select(replicas).where(replicas.c.state.in_(LIVE)).order_by(replicas.c.created_at, replicas.c.id)
    if name is not None:
        query = query.where(replicas.c.tenant == tenant, replicas.c.endpoint == name)
    return [Replica(*row) for row in connection.execute(query)]


def endpoint_replicas(connection: Connection, found: Endpoint) -> list[Replica]:
    """All that it has had since it was made, newest first."""
    query = select(replicas).where(
        replicas.c.tenant == found.tenant,
        replicas.c.endpoint == found.name,
        replicas.c.created_at >= found.created_at,
    )
    return [Replica(*row) for row in connection.execute(query.order_by(replicas.c.created_at.desc(), replicas.c.id))]


def update_replica(connection: Connection, replica: str, **values: Any) -> None:
    connection.execute(update(replicas).where(replicas.c.id == replica).values(**values))


def booked_of(connection: Connection, replica: str) -> Values:
    """What the books have of it."""
    return dict(connection.execute(select(replicas.c.booked).where(replicas.c.id == replica)).scalar_one())


def failed_replicas(connection: Connection, found: Endpoint, model: str, since: float) -> list[Replica]:
    """Of the endpoint and version that failed since then, oldest first."""
    query = select(replicas).where(
        replicas.c.tenant == found.tenant,
        replicas.c.endpoint == found.name,
        replicas.c.model == model,
        replicas.c.state == "failed",
        replicas.c.ended_at >= since,
    )
    return [Replica(*row) for row in connection.execute(query.order_by(replicas.c.ended_at))]


def _documents(connection: Connection, query: Any) -> list[Values]:
    return [dict(row._mapping) for row in connection.execute(query)]
