"""The replicas of one version behind one endpoint, as the snapshots name them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from gristmill.core.routes import RouteEndpoint, RouteReplica, RouteVersion
from gristmill.core.types import AdapterRef
from gristmill.serving.gateway.metrics import PoolMetrics
from gristmill.serving.gateway.replicas import Owner, Replica

T = TypeVar("T")


class ReplicaSet(Owner[T], Generic[T]):
    """What a pool is before it knows how to compute; T is what it has in flight on a replica."""

    def __init__(self, endpoint: RouteEndpoint, version: RouteVersion, metrics: PoolMetrics, gateway: str) -> None:
        self.endpoint = endpoint
        self.version = version
        self.digest = version.digest
        self.signature = version.signature
        self.metrics = metrics
        self.closed = False  # no longer routed to
        self._gateway = gateway
        self._replicas: dict[RouteReplica, Replica[T]] = {}
        self._leaving: list[Replica[T]] = []

    def update(self, endpoint: RouteEndpoint, version: RouteVersion) -> None:
        """Take over another snapshot's limits and replicas; what waits stays."""
        self.endpoint, self.version = endpoint, version
        for route in [route for route in self._replicas if route not in version.replicas]:
            self._retire(self._replicas.pop(route))
        for route in version.replicas:
            if route not in self._replicas:
                self._replicas[route] = Replica(route, self, self._gateway)

    def adapter(self, name: str) -> AdapterRef | None:
        return next((one for one in self.version.adapters if one.name == name), None)

    def _retire(self, replica: Replica[T]) -> None:
        self._leaving = [old for old in self._leaving if old.in_flight]
        self._leaving.append(replica)
        replica.close_when_done()

    def retire_all(self) -> None:
        self.closed = True
        for replica in self._replicas.values():
            self._retire(replica)
        self._replicas.clear()

    def _all(self) -> Iterable[Replica[T]]:
        """Those that leave too: they still answer what they have."""
        return [*self._replicas.values(), *self._leaving]

    @property
    def ready(self) -> bool:
        return any(replica.ready for replica in self._replicas.values())

    @property
    def all_ready(self) -> bool:
        return all(replica.ready for replica in self._replicas.values())
