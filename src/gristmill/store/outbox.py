"""The outbox: what a transaction wants the books to know, written in that same transaction, posted afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select

from gristmill.store.database import insert_new
from gristmill.store.tables import outbox


class OutboxItem(NamedTuple):
    number: int
    event: str
    tenant: str
    kind: str
    payload: dict[str, Any]
    happened_at: float


def enqueue(
    connection: Connection, event: str, tenant: str, kind: str, payload: dict[str, Any], happened_at: float
) -> None:
    """Idempotent by `event`, the id derived from the work."""
    row = {"event": event, "tenant": tenant, "kind": kind, "payload": payload, "happened_at": happened_at}
    insert_new(connection, outbox, [row])


def pending(connection: Connection, limit: int) -> list[OutboxItem]:
    """The oldest items, in order."""
    rows = connection.execute(select(outbox).order_by(outbox.c.number).limit(limit))
    return [OutboxItem(*row) for row in rows]


def done(connection: Connection, numbers: Sequence[int]) -> None:
    connection.execute(delete(outbox).where(outbox.c.number.in_(numbers)))
