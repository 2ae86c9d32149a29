"""Rows of versions, aliases and their history."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from gristmill.store.database import insert_new
from gristmill.store.tables import alias_history, aliases, versions

VersionRow = Row[Any]


class AliasChange(NamedTuple):
    alias: str
    version: int | None  # None: removed
    changed_at: float
    key: str


def newest_number(connection: Connection, tenant: str, model: str) -> int:
    """0 when the model has no version."""
    query = select(func.max(versions.c.version)).where(versions.c.tenant == tenant, versions.c.model == model)
    return connection.execute(query).scalar() or 0


def insert_version(connection: Connection, row: dict[str, Any]) -> bool:
    """False when its number, or a version of its run, is there already."""
    return insert_new(connection, versions, [row]) == 1


def version_of_run(connection: Connection, tenant: str, model: str, run: str) -> int | None:
    query = select(versions.c.version).where(
        versions.c.tenant == tenant, versions.c.model == model, versions.c.run == run
    )
    return connection.execute(query).scalar()


def version_row(connection: Connection, tenant: str, model: str, version: int) -> VersionRow | None:
    query = select(versions).where(
        versions.c.tenant == tenant, versions.c.model == model, versions.c.version == version
    )
    return connection.execute(query).one_or_none()


def version_rows(connection: Connection, tenant: str, model: str | None = None) -> list[VersionRow]:
    query = select(versions).where(versions.c.tenant == tenant).order_by(versions.c.model, versions.c.version)
    return list(connection.execute(query if model is None else query.where(versions.c.model == model)))


def update_version(connection: Connection, tenant: str, model: str, version: int, **values: Any) -> None:
    at = (versions.c.tenant == tenant, versions.c.model == model, versions.c.version == version)
    connection.execute(update(versions).where(*at).values(**values))


def alias_version(connection: Connection, tenant: str, model: str, alias: str) -> int | None:
    query = select(aliases.c.version).where(
        aliases.c.tenant == tenant, aliases.c.model == model, aliases.c.alias == alias
    )
    return connection.execute(query).scalar()


def model_aliases(connection: Connection, tenant: str, model: str) -> dict[str, int]:
    query = select(aliases.c.alias, aliases.c.version).where(aliases.c.tenant == tenant, aliases.c.model == model)
    return {row.alias: row.version for row in connection.execute(query.order_by(aliases.c.alias))}


def change_alias(
    connection: Connection, tenant: str, model: str, alias: str, version: int | None, at: float, key: str
) -> None:
    """Move, make or (None) remove the alias, and keep the change."""
    where = (aliases.c.tenant == tenant, aliases.c.model == model, aliases.c.alias == alias)
    connection.execute(delete(aliases).where(*where))
    row = {"tenant": tenant, "model": model, "alias": alias, "version": version, "changed_at": at}
    if version is not None:
        connection.execute(insert(aliases).values(row))
    connection.execute(insert(alias_history).values({**row, "key": key}))


def alias_changes(connection: Connection, tenant: str, model: str) -> list[AliasChange]:
    query = select(alias_history).where(alias_history.c.tenant == tenant, alias_history.c.model == model)
    rows = connection.execute(query.order_by(alias_history.c.number))
    return [AliasChange(row.alias, row.version, row.changed_at, row.key) for row in rows]
