"""What happened, as the books are told: an id derived from the work, a kind, a payload, a time."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from gristmill.core.ids import derived_id
from gristmill.core.types import Basis, Measure, Resources, ResourceUse

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
    expected_units: int | None = None, parent: str | None = None, inherits: str | None = None,
) -> Event:  # fmt: skip
    """`datasets` and `parent` as NAME@VERSION; `inherits`: the share of the parent's cost taken over, as in 0.25."""
    payload: dict[str, Any] = {
        "model": model, "version": version, "run": run, "datasets": datasets, "expected_units": expected_units,
    }  # fmt: skip
    if parent is not None and inherits is not None:
        payload |= {"parent": parent, "inherits": inherits}
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
    """`on`: `run:ID`, `version:NAME@N`, `model:NAME`, `dataset:NAME@N` or `shared:POOL`; `rate` as in `80USD`."""
    payload = {"who": who, "hours": hours, "on": on, "rate": rate}
    return Event(id_, tenant, "hours.declared", payload, happened_at)


def service_bought(
    tenant: str, id_: str, name: str, cost_micro: int, currency: str, on: str, happened_at: float,
    calls: float | None = None,
) -> Event:  # fmt: skip
    """`on` as for hours; `calls` None: nobody counted them."""
    payload = {"name": name, "cost_micro": cost_micro, "currency": currency, "on": on, "calls": calls}
    return Event(id_, tenant, "service.bought", payload, happened_at)


def compute_declared(tenant: str, id_: str, said: dict[str, Any], happened_at: float) -> Event:
    """Machine time that was not granted here; `said` as in books.rules.compute_declared.ComputeDeclared."""
    return Event(id_, tenant, "compute.declared", said, happened_at)


def hardware_used(tenant: str, id_: str, said: dict[str, Any], happened_at: float) -> Event:
    """A share of what bought hardware loses; `said` as in books.rules.hardware_used.HardwareUsed."""
    return Event(id_, tenant, "hardware.used", said, happened_at)


def data_paid(
    tenant: str, id_: str, dataset: str, what: str, rows: int, amount: str, happened_at: float, by_row: bool = False
) -> Event:
    """`dataset` as NAME@N; `amount` as in `120USD`, for all or, `by_row`, for each of the `rows` that survived."""
    payload = {"dataset": dataset, "what": what, "rows": rows, "amount": amount, "by_row": by_row}
    return Event(id_, tenant, "data.paid", payload, happened_at)


def storage_used(
    tenant: str, start: float, end: float, owners: dict[str, int], basis: Basis = Basis.measured
) -> Event:  # fmt: skip
    """`owners`: dataset:NAME@N or version:NAME@N → bytes kept from `start` to `end`."""
    payload = {"from": start, "to": end, "owners": owners, "basis": basis.value}
    return Event(derived_id("storage.used", tenant, repr(start)), tenant, "storage.used", payload, end)


def capacity_idle(tenant: str, start: float, end: float, core_s: float, gib_s: float, gpu_s: float) -> Event:
    """What the platform granted to nobody from `start` to `end`."""
    payload = {"from": start, "to": end, "core_s": core_s, "gib_s": gib_s, "gpu_s": gpu_s}
    return Event(derived_id("capacity.idle", tenant, repr(start)), tenant, "capacity.idle", payload, end)


def cost_allocated(
    tenant: str, id_: str, pool: str, spread: str, metric: str | None, targets: list[dict[str, Any]], happened_at: float
) -> Event:
    """`targets`: {on, weight}; `spread` and `metric` say where the weights come from."""
    payload = {"pool": pool, "spread": spread, "metric": metric, "targets": targets}
    return Event(id_, tenant, "cost.allocated", payload, happened_at)


def cost_inherited(tenant: str, version: str, parent: str, share: str, happened_at: float) -> Event:
    """The child `version` takes over a share, as in `0.25`, of what its `parent` cost; both NAME@N."""
    payload = {"version": version, "parent": parent, "share": share}
    id_ = derived_id("cost.inherited", tenant, version, parent, repr(happened_at))
    return Event(id_, tenant, "cost.inherited", payload, happened_at)


def experiment_capitalised(tenant: str, run: str, version: str, happened_at: float) -> Event:
    payload = {"run": run, "version": version}
    id_ = derived_id("experiment.capitalised", tenant, run, version, repr(happened_at))
    return Event(id_, tenant, "experiment.capitalised", payload, happened_at)


def write_down_chosen(tenant: str, version: str, method: str, happened_at: float, days: float | None = None) -> Event:
    """`days`: the life's (straight-line), or the half-life's (economic-decay)."""
    payload = {"version": version, "method": method, "days": days}
    id_ = derived_id("write-down.chosen", tenant, version, method, repr(days), repr(happened_at))
    return Event(id_, tenant, "write-down.chosen", payload, happened_at)


def write_down_due(tenant: str, version: str, happened_at: float) -> Event:
    """A version that is written down by time is due until `happened_at`."""
    id_ = derived_id("write-down.due", tenant, version, repr(happened_at))
    return Event(id_, tenant, "write-down.due", {"version": version}, happened_at)


def rerated(tenant: str, of: str, happened_at: float) -> Event:
    """The event `of` by the rates known at its recording."""
    return Event(derived_id("rerated", tenant, of, repr(happened_at)), tenant, "rerated", {"of": of}, happened_at)
