"""Rows of usage records, and how far the journals that they come from are posted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from gristmill.books.records import Row, rows_of
from gristmill.store.tables import cursors, events, usage

_IDS_A_STATEMENT = 500
_USAGE_TYPES = {
    column.name: {"VARCHAR": "text", "INTEGER": "int", "BIGINT": "bigint", "JSON": "text", "BOOLEAN": "bool"}.get(
        str(column.type), "float8"
    )
    for column in usage.c
}


def insert_usage(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Rows in the order of the table's columns, `tokens` as JSON text.

    Straight to the driver, each database in its own way: some 3 times as fast as through SQLAlchemy.
    """
    columns = ", ".join(_USAGE_TYPES)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(_USAGE_TYPES))
        connection.exec_driver_sql(f"INSERT INTO usage ({columns}) VALUES ({marks})", list(rows))
        return
    arrays = ", ".join(f"%s::{type_}[]" for type_ in _USAGE_TYPES.values())
    chosen = columns.replace("tokens", "tokens::json")
    statement = f"INSERT INTO usage ({columns}) SELECT {chosen} FROM unnest({arrays}) AS given ({columns})"
    connection.exec_driver_sql(statement, tuple(list(column) for column in zip(*rows, strict=True)))


def stored_usage(connection: Connection, ids: Sequence[str]) -> list[Row]:
    """Those of the records that are stored already: none, as a rule, which one statement for all of them tells."""
    given = "unnest(%s::text[]) AS given (value)"
    values: Any = list(ids)
    if connection.dialect.name == "sqlite":
        given, values = "json_each(?)", msgspec.json.encode(ids).decode()
    found = connection.exec_driver_sql(f"SELECT usage.id FROM {given} JOIN usage ON usage.id = value", (values,))
    stored = list(found.scalars())
    parts = (stored[start : start + _IDS_A_STATEMENT] for start in range(0, len(stored), _IDS_A_STATEMENT))
    return [row for part in parts for row in rows_of(connection, select(usage).where(usage.c.id.in_(part)))]


def cursor(connection: Connection, name: str) -> int:
    return connection.execute(select(cursors.c.position).where(cursors.c.name == name)).scalar() or 0


def move_cursor(connection: Connection, name: str, position: int) -> None:
    statement = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(cursors)
    moved = statement.on_conflict_do_update(index_elements=["name"], set_={"position": statement.excluded.position})
    connection.execute(moved, {"name": name, "position": position})


def newest_texts(connection: Connection, tenant: str, endpoint: str, since: float, most: int) -> list[Row]:
    """Generated texts of an endpoint, the newest first: tokens by class, times and energy."""
    columns = usage.c.tokens, usage.c.first_token_us, usage.c.per_token_us, usage.c.energy_uj
    here = usage.c.tenant == tenant, usage.c.endpoint == endpoint, usage.c.happened_at >= since
    query = select(*columns).where(*here, usage.c.first_token_us.is_not(None))
    return rows_of(connection, query.order_by(usage.c.happened_at.desc()).limit(most))


def unposted_usage(connection: Connection) -> int:
    query = select(func.count()).select_from(usage).outerjoin(events, events.c.id == usage.c.event)
    return int(connection.execute(query.where(events.c.id.is_(None))).scalar_one())


def usage_by_event(connection: Connection) -> dict[str, Row]:
    query = select(
        usage.c.event,
        func.count().label("requests"),
        func.sum(usage.c["items"]).label("items"),
        func.sum(usage.c.compute_us).label("compute_us"),
    ).group_by(usage.c.event)
    return {row["event"]: row for row in rows_of(connection, query)}
