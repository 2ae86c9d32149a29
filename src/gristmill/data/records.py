"""Rows of dataset versions. The room's only SQL, so that a run reads a dataset without it."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, insert, select

from gristmill.core.errors import NotFound
from gristmill.core.ids import LARGEST_NUMBER, parse_reference
from gristmill.store.tables import dataset_versions as table


class DatasetVersion(NamedTuple):
    tenant: str
    name: str
    version: int
    digest: str
    task: str | None
    manifest: dict[str, Any]
    profile: dict[str, Any]
    source: str | None
    licence: str | None
    cost_micro: int | None
    currency: str | None
    rows: int
    bytes: int
    created_at: float

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"


def add(connection: Connection, tenant: str, name: str, **values: Any) -> tuple[DatasetVersion, bool]:
    """(version, made): the next number, or the version that has this content already."""
    known = connection.execute(
        select(table).where(table.c.tenant == tenant, table.c.name == name, table.c.digest == values["digest"])
    ).one_or_none()
    if known is not None:
        return _version(known), False
    newest = select(func.max(table.c.version)).where(table.c.tenant == tenant, table.c.name == name)
    number = (connection.execute(newest).scalar() or 0) + 1
    connection.execute(insert(table).values(tenant=tenant, name=name, version=number, **values))
    return get(connection, tenant, name, number), True


def get(connection: Connection, tenant: str, name: str, version: int | None = None) -> DatasetVersion:
    """The version, or the newest. Raises NotFound."""
    query = select(table).where(table.c.tenant == tenant, table.c.name == name)
    if version is not None:
        query = query.where(table.c.version == min(version, LARGEST_NUMBER))
    row = connection.execute(query.order_by(table.c.version.desc()).limit(1)).one_or_none()
    if row is None:
        reference = name if version is None else f"{name}@{version}"
        raise NotFound(f"There is no dataset {reference}; 'gristmill data list' shows what there is.")
    return _version(row)


def resolve(connection: Connection, tenant: str, reference: str) -> DatasetVersion:
    """`digits@1`, or `digits` for the newest. Raises NotFound."""
    name, version = parse_reference(reference, "dataset")
    if version is not None and not version.isdigit():
        raise NotFound(f"There is no dataset {reference}: its version should be a number.")
    return get(connection, tenant, name, int(version) if version else None)


def list_datasets(connection: Connection, tenant: str, name: str | None = None) -> list[DatasetVersion]:
    """Every version, by name and number. Raises NotFound for a name without any."""
    query = select(table).where(table.c.tenant == tenant).order_by(table.c.name, table.c.version)
    rows = connection.execute(query if name is None else query.where(table.c.name == name)).all()
    if name is not None and not rows:
        raise NotFound(f"There is no dataset {name}; 'gristmill data list' shows what there is.")
    return [_version(row) for row in rows]


def _version(row: Row[Any]) -> DatasetVersion:
    return DatasetVersion(**{field: row._mapping[field] for field in DatasetVersion._fields})
