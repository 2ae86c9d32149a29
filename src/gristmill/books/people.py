"""People's hours are declared by people: what they name must exist before anything is posted."""

from __future__ import annotations

from math import isfinite

from gristmill.books import events, records
from gristmill.books.places import TEAM
from gristmill.books.posting import post
from gristmill.books.records import Connection
from gristmill.core.errors import Unprocessable
from gristmill.core.ids import check_name, new_id, parse_reference

_KINDS = ("run", "version", "model", "dataset", "shared")


def declare(
    connection: Connection, tenant: str, who: str, hours: float, on: str, at: float, *, rate: str | None = None,
    event_id: str | None = None,
) -> str:  # fmt: skip
    """Post `hours` of `who` on a run's id, NAME@VERSION (a version, else a dataset), a model's name, or `team`.

    Returns the event's id. `run:`, `version:`, `model:` or `dataset:` before the name says which is meant; `shared:` is
    a pool, of which `team` is one. With the same `event_id` a retry
    posts once. Raises Unprocessable for hours on what does not exist, negative or non-finite ones.
    """
    if not isfinite(hours) or hours <= 0:
        raise Unprocessable(
            f"Hours should be more than 0 and finite, and are {hours!r}.", field="hours", got=str(hours)
        )
    place = found_place(connection, tenant, on, "Hours")
    event = events.hours_declared(tenant, event_id or new_id("hours"), who, float(hours), place, at, rate)
    post(connection, event)
    return event.id


def found_place(connection: Connection, tenant: str, on: str, what: str = "Costs") -> str:
    """The place that `on` names, as `run:ID` and its like. Raises Unprocessable where there is none."""
    if on == TEAM:
        return f"shared:{TEAM}"
    kind, separator, name = on.partition(":")
    if separator and kind in _KINDS:
        candidates = [(kind, name)]
    else:
        candidates = [("run", on), ("version", on), ("dataset", on)] if "@" in on else [("run", on), ("model", on)]
    for found, candidate in candidates:
        if _exists(connection, tenant, found, candidate):
            return f"{found}:{candidate}"
    raise Unprocessable(
        f"{what} cannot be declared on {on!r}: there is no such run, model, version or dataset, and what many share "
        f"is on {TEAM} or shared:NAME.", field="on", got=on,
    )  # fmt: skip


def _exists(connection: Connection, tenant: str, kind: str, name: str) -> bool:
    if kind == "shared":
        return bool(check_name(name, "pool"))
    if kind == "run":
        return records.run_exists(connection, tenant, name)
    model, number = parse_reference(name)
    if kind == "model":
        known = records.version_exists(connection, tenant, model, None) or records.model_planned(
            connection, tenant, model
        )
        return number is None and known
    if number is None or not number.isdecimal():
        return False
    exists = records.version_exists if kind == "version" else records.dataset_exists
    return exists(connection, tenant, model, int(number))
