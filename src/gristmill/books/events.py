"""What happened, as the books are told: an id derived from the work, a kind, a payload, a time."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from gristmill.core.ids import derived_id
from gristmill.core.types import Measure, Resources, ResourceUse

DEFAULT_EXPECTED_UNITS = 100_000  # predictions a version is expected to serve where nobody said: assumed


class Event(msgspec.Struct, frozen=True):
    """`id` is the same for every retry; `payload` is JSON-able; `happened_at` seconds since the epoch."""

    id: str
    tenant: str
    kind: str
    payload: dict[str, Any]
    happened_at: float


def payload_hash(event: Event) -> str:
    """SHA-256 of what the event says, whatever the order of its fields and whenever a retry says it."""
    said = (event.tenant, event.kind, event.payload)
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()


def dataset_added(
    tenant: str, dataset: str, version: int, happened_at: float, *, rows: int, size: int,
    cost_micro: int | None = None, currency: str | None = None,
) -> Event:  # fmt: skip
    """`cost_micro` None: nobody said what it cost, which is not free."""
    payload = {"dataset": dataset, "version": version, "cost_micro": cost_micro, "currency": currency, "rows": rows,
               "bytes": size}  # fmt: skip
    return Event(derived_id("dataset.added", tenant, dataset, version), tenant, "dataset.added", payload, happened_at)


def run_used(
    tenant: str, run: str, kind: str, model: str | None, attempt: int, state: str, happened_at: float,
    resources: Resources, use: ResourceUse,
) -> Event:  # fmt: skip
    """One attempt of a run; `state` the run's own after it (`failed` and `cancelled` end its hopes of a version)."""
    payload = {"run": run, "kind": kind, "model": model, "attempt": attempt, "state": state,
               "resources": msgspec.to_builtins(resources), "use": msgspec.to_builtins(use)}  # fmt: skip
    return Event(derived_id("run.used", run, attempt), tenant, "run.used", payload, happened_at)


def version_made(
    tenant: str, model: str, version: int, run: str | None, datasets: list[str], happened_at: float,
    expected_units: int | None = None,
) -> Event:  # fmt: skip
    """`datasets` as NAME@VERSION."""
    payload = {"model": model, "version": version, "run": run, "datasets": datasets, "expected_units": expected_units}
    return Event(derived_id("version.made", tenant, model, version), tenant, "version.made", payload, happened_at)


def units_estimated(tenant: str, model: str, version: int, expected_units: int, happened_at: float) -> Event:
    """A new estimate of all the units that a version will serve; later write-downs follow it, earlier ones stay."""
    payload = {"model": model, "version": version, "expected_units": expected_units}
    id_ = derived_id("units.estimated", tenant, model, version, expected_units, repr(happened_at))
    return Event(id_, tenant, "units.estimated", payload, happened_at)


def replica_used(
    tenant: str, replica: str, index: int, endpoint: str, model: str, start: float, end: float,
    resources: Resources, cpu_s: float, busy_s: float, rows: int, energy: Measure,
) -> Event:  # fmt: skip
    """The stretch `index` of a replica's life, from `start` to `end`; `model` as NAME@VERSION."""
    payload = {"replica": replica, "endpoint": endpoint, "model": model, "from": start, "to": end,
               "resources": msgspec.to_builtins(resources), "cpu_s": cpu_s, "busy_s": busy_s, "rows": rows,
               "energy": msgspec.to_builtins(energy)}  # fmt: skip
    return Event(derived_id("replica.used", replica, index), tenant, "replica.used", payload, end)


def version_retired(tenant: str, model: str, version: int, happened_at: float) -> Event:
    payload = {"model": model, "version": version}
    return Event(derived_id("version.retired", tenant, model, version), tenant, "version.retired", payload, happened_at)


def hours_declared(
    tenant: str, id_: str, who: str, hours: float, on: str, happened_at: float, rate: str | None = None
) -> Event:
    """`on`: `run:ID`, `version:NAME@N`, `model:NAME` or `dataset:NAME@N`; `rate` as in `80USD`, an hour."""
    payload = {"who": who, "hours": hours, "on": on, "rate": rate}
    return Event(id_, tenant, "hours.declared", payload, happened_at)
