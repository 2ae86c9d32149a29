"""Aliases: movable names of a model's versions, every move kept."""

from __future__ import annotations

from sqlalchemy import Connection

from gristmill.core.errors import Conflict, NotFound, Unprocessable
from gristmill.core.ids import check_name
from gristmill.registry import records, versions


def set_alias(connection: Connection, tenant: str, model: str, alias: str, version: int, at: float, key: str) -> None:
    """Raises NotFound for an unknown version, Unprocessable for an alias that reads as a number."""
    if check_name(alias, "alias").isdigit():
        raise Unprocessable(
            f"An alias cannot be a number: {alias!r} would read as a version.", field="alias", got=alias
        )
    versions.get(connection, tenant, model, version)
    records.change_alias(connection, tenant, model, alias, version, at, key)


def remove_alias(
    connection: Connection, tenant: str, model: str, alias: str, at: float, key: str, expected: int | None = None
) -> None:
    """Raises NotFound; Conflict when it stands for another version than `expected`."""
    found = records.alias_version(connection, tenant, model, alias)
    if found is None:
        raise NotFound(f"The model {model!r} has no alias {alias!r}.")
    if expected not in (None, found):
        raise Conflict(f"The alias {alias!r} stands for {model}@{found}, not for {model}@{expected}: it is left there.")
    records.change_alias(connection, tenant, model, alias, None, at, key)


def current(connection: Connection, tenant: str, model: str) -> dict[str, int]:
    return records.model_aliases(connection, tenant, model)


def history(connection: Connection, tenant: str, model: str) -> list[records.AliasChange]:
    """Oldest first."""
    return records.alias_changes(connection, tenant, model)
