"""What belongs to a version's cost, and how it is written down: a tenant's choices, by version."""

from __future__ import annotations

from gristmill.books import accounts, events, records
from gristmill.books.amortization import Method
from gristmill.books.events import Event
from gristmill.books.posting import post
from gristmill.books.records import Connection
from gristmill.core.errors import Unprocessable
from gristmill.core.ids import parse_reference


def choose_write_down(
    connection: Connection, tenant: str, version: str, method: Method, at: float, *,
    units: int | None = None, days: float | None = None,
) -> list[str]:  # fmt: skip
    """How NAME@N is written down from `at` on → the events' ids. By units of production over all `units` that it will
    serve; in a straight line over `days`; or by economic decay, with a half-life of `days`.

    Raises Unprocessable for a version that there is not, and for days and units that do not go with the method.
    """
    model, number = _version(connection, tenant, version)
    if (days is None) != (method == Method.units_of_production):
        raise Unprocessable(f"Days go with straight-line and economic-decay, and belong to them: the method is {method}"
                            ".", field="days")  # fmt: skip
    if units is not None and method != Method.units_of_production:
        raise Unprocessable(f"Units go with units-of-production: the method is {method}.", field="units")
    chosen = [events.write_down_chosen(tenant, version, str(method), at, days)]
    if units is not None:
        chosen.append(events.units_estimated(tenant, model, number, units, at))
    for event in chosen:
        post(connection, event, at)
    return [event.id for event in chosen]


def inherit(connection: Connection, tenant: str, version: str, parent: str, share: str, at: float) -> str:
    """A child takes over `share` (as in 0.25) of its parent's cost → the event's id. Raises Unprocessable."""
    for name in (version, parent):
        _version(connection, tenant, name)
    return _posted(connection, events.cost_inherited(tenant, version, parent, share, at))


def capitalise(connection: Connection, tenant: str, run: str, version: str, at: float) -> str:
    """What a run cost is part of a version's → the event's id. Raises Unprocessable."""
    _version(connection, tenant, version)
    if not records.run_exists(connection, tenant, run):
        raise Unprocessable(f"There is no run {run!r}.", field="run", got=run)
    return _posted(connection, events.experiment_capitalised(tenant, run, version, at))


def due(connection: Connection, tenant: str, at: float) -> list[Event]:
    """What to post so that every version that is written down by time is written down until `at`."""
    prefix = accounts.write_down("")
    rows = records.sums(connection, tenant, ("version", "item"), accounts=(prefix,))
    versions = {row["version"] for row in rows if row["item"] != Method.units_of_production and row["quantity"] > 0}
    return [events.write_down_due(tenant, version, at) for version in sorted(versions)]


def _posted(connection: Connection, event: Event) -> str:
    post(connection, event, event.happened_at)
    return event.id


def _version(connection: Connection, tenant: str, text: str) -> tuple[str, int]:
    model, number = parse_reference(text)
    if number is None or not number.isdecimal() or not records.version_exists(connection, tenant, model, int(number)):
        raise Unprocessable(f"There is no version {text!r}: write NAME@N.", field="version", got=text)
    return model, int(number)
