"""The snapshot of routes and keys that the controller pushes to every gateway, as one file of msgpack.

A gateway answers from its last snapshot: a dead controller or database does not stop it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from gristmill.core.files import write_atomic
from gristmill.core.types import AdapterRef, Role, Signature


class KeyLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    requests_per_minute: Annotated[int, Meta(ge=0)] | None = None
    max_parallel: Annotated[int, Meta(ge=1)] | None = None
    tokens_per_minute: Annotated[int, Meta(ge=1)] | None = None  # of texts, read and written


class RouteKey(msgspec.Struct, frozen=True):
    """A key as the gateway checks it: `secret_hash` is HMAC-SHA256(pepper, secret), 32 bytes."""

    id: str
    tenant: str
    role: Role
    secret_hash: bytes
    scopes: tuple[str, ...] = ()  # empty: every endpoint of the tenant; else endpoint names
    limits: KeyLimits = KeyLimits()
    expires_at: float | None = None
    weight: int = 1  # fair share across tenants
    project: str | None = None  # whose budget pays, where it has one


class RouteReplica(msgspec.Struct, frozen=True):
    id: str
    socket: str


class RouteVersion(msgspec.Struct, frozen=True):
    """One version behind an endpoint: its share of the traffic is weight / sum of weights; 0 keeps it warm."""

    model: str  # NAME@VERSION
    digest: str
    signature: Signature
    weight: int
    replicas: tuple[RouteReplica, ...]
    adapters: tuple[AdapterRef, ...] = ()  # that every one of the replicas has
    created_at: float = 0.0  # of the version, seconds since 1970


class EndpointLimits(msgspec.Struct, frozen=True):
    max_queue: int = 1024  # requests waiting; one more is shed
    max_batch_rows: int = 64
    batch_wait_ms: float = 0.0  # 0: nobody waits for a timer
    deadline_ms: int | None = None  # default of the endpoint; None: the installation's
    cache_bytes: Annotated[int, Meta(ge=0)] = 0  # of answers kept, over all gateways; 0: every request is computed


class RoutePrice(msgspec.Struct, frozen=True):
    """Of one base unit: `pico` are 10^-12 of the currency, rounded up."""

    currency: str
    pico: int


class RouteEndpoint(msgspec.Struct, frozen=True):
    name: str
    tenant: str
    task: str
    versions: tuple[RouteVersion, ...]
    limits: EndpointLimits = EndpointLimits()
    prices: dict[str, RoutePrice] = {}  # by item, where a hard budget may hold its requests back


class RouteBudget(msgspec.Struct, frozen=True):
    """A hard budget: what it is for may cost no more than a gateway has leased of it."""

    tenant: str
    place: str  # tenant, key:ID, project:NAME, model:NAME or endpoint:NAME
    currency: str


class Snapshot(msgspec.Struct, frozen=True):
    revision: int
    keys: tuple[RouteKey, ...]
    endpoints: tuple[RouteEndpoint, ...]
    gateways: int = 1  # that route by it: each takes its part of what is limited for all
    budgets: tuple[RouteBudget, ...] = ()


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    write_atomic(path, msgspec.msgpack.encode(snapshot), mode=0o600)


def read_snapshot(path: Path) -> Snapshot:
    """Raises FileNotFoundError; msgspec.DecodeError on a file of another format."""
    return msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)
