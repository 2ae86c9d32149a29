"""The rows that control keeps, as values; fields stand in the order of their table's columns."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from gristmill.core.ids import derived_id
from gristmill.core.types import AdapterRef, Resources

LIVE = ("starting", "ready", "draining")  # a replica's states in which its process is kept or awaited


class Run(NamedTuple):
    id: str
    tenant: str
    kind: str
    state: str
    name: str
    priority: int
    attempt: int
    request: dict[str, Any]
    resources: dict[str, Any]
    progress: dict[str, Any]  # step, total_steps, epoch, attempt, deaths (in a row without a new checkpoint)
    metrics: dict[str, Any]
    report: dict[str, Any]
    use: dict[str, Any]  # ResourceUse over all attempts
    made: str | None
    error: str | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    cancel: bool

    @property
    def granted(self) -> Resources:
        return msgspec.convert(self.resources, Resources)


class Endpoint(NamedTuple):
    tenant: str
    name: str
    generation: int
    spec: dict[str, Any]  # see `Target`
    state: str  # updating, ready, failed, deleting
    previous: dict[str, Any] | None
    created_at: float
    changed_at: float

    @property
    def target(self) -> Target:
        return msgspec.convert(self.spec, Target)

    @property
    def former(self) -> Target | None:
        return None if self.previous is None else msgspec.convert(self.previous, Target)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint is to serve: `endpoints.spec`."""

    model: str  # NAME@VERSION
    digest: str
    task: str
    replicas: int
    most_replicas: int
    resources: Resources
    limits: dict[str, Any] = {}
    runtime: str | None = None  # None: the version's own; `auto`: the fastest of a trial
    adapters: tuple[AdapterRef, ...] = ()  # of a language model


class Rollout(NamedTuple):
    id: str
    tenant: str
    endpoint: str
    strategy: str
    state: str  # running, succeeded, failed
    detail: dict[str, Any]
    generation: int
    error: str | None
    created_at: float
    ended_at: float | None


class Replica(NamedTuple):
    id: str
    tenant: str
    endpoint: str
    model: str
    digest: str
    state: str  # starting, ready, draining, stopped, failed
    resources: dict[str, Any]
    restarts: int
    created_at: float
    ready_at: float | None
    ended_at: float | None
    booked: dict[str, Any]  # what the books have of it: see `replica_periods.Booked`
    error: str | None

    @property
    def granted(self) -> Resources:
        return msgspec.convert(self.resources, Resources)

    @property
    def runtime(self) -> str | None:
        """As in Target: it is kept with what the replica was granted."""
        return self.resources.get("runtime")

    @property
    def adapters(self) -> dict[str, str]:
        """Digests by name of those that it has; kept there too."""
        return dict(self.resources.get("adapters") or {})

    @property
    def refused(self) -> dict[str, str]:
        """Why adapters did not load, by name."""
        return dict(self.resources.get("refused") or {})

    @property
    def alive(self) -> bool:
        return self.state in LIVE

    @property
    def routed(self) -> bool:
        """Whether gateways may send to it: it has been ready once; while it restarts they wait for it by themselves."""
        return self.ready_at is not None and self.state in ("starting", "ready")


REPLICA_SOCKETS = "r" + "?" * 16


def replica_socket(sockets: str, replica: str) -> str:
    """Short, and the same after every restart: a Unix socket's path may have 107 bytes."""
    return f"{sockets}/r{derived_id('socket', replica)[-16:]}"
