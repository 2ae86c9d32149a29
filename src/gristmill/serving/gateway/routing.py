"""Which version answers: the endpoint of the caller's tenant by name, then its traffic split."""

from __future__ import annotations

from gristmill.core.errors import NotFound, Unavailable
from gristmill.core.routes import RouteEndpoint, RouteKey
from gristmill.serving.gateway.fit import InputFit
from gristmill.serving.gateway.generation.pool import GenerationPool
from gristmill.serving.gateway.pool import Pool

AnyPool = Pool | GenerationPool


class Share:
    """One version's part in an endpoint's split."""

    def __init__(self, pool: AnyPool, weight: int) -> None:
        self.pool = pool
        self.weight = weight
        self.current = 0
        self.number = pool.version.model.rpartition("@")[2]
        self.fit = InputFit(pool.signature)


class Route:
    """One endpoint with its versions, as prebuilt for the hot path."""

    def __init__(self, endpoint: RouteEndpoint, pools: list[AnyPool]) -> None:
        self.endpoint = endpoint
        self.shares = [Share(pool, version.weight) for pool, version in zip(pools, endpoint.versions, strict=True)]
        self._weighted = [share for share in self.shares if share.weight > 0]

    def pick(self, version: str | None = None, adapter: str | None = None) -> Share:
        """Smooth weighted round robin (as in nginx), or the version or adapter asked for.

        Raises NotFound, Unavailable.
        """
        if adapter is not None:
            return self._adapted(adapter, version)
        if version is not None:
            return self._numbered(version)
        weighted = self._weighted
        if len(weighted) == 1:
            return weighted[0]
        if not weighted:
            raise Unavailable(f"Endpoint {self.endpoint.name!r} has no version to answer yet.", retry_after_s=1.0)
        for share in weighted:
            share.current += share.weight
        best = max(weighted, key=lambda share: share.current)
        best.current -= sum(share.weight for share in weighted)
        return best

    def _adapted(self, adapter: str, version: str | None) -> Share:
        for share in sorted(self.shares, key=lambda share: -share.weight):
            if version in (None, share.number) and share.pool.adapter(adapter) is not None:
                return share
        raise NotFound(f"There is no model '{self.endpoint.name}:{adapter}' here.")

    def _numbered(self, version: str) -> Share:
        for share in sorted(self.shares, key=lambda share: -share.weight):
            if share.number == version:
                return share
        raise NotFound(f"Endpoint {self.endpoint.name!r} serves no version {version!r}.")


class Routes:
    """The endpoints of one snapshot."""

    def __init__(self, revision: int, routes: dict[tuple[str, str], Route]) -> None:
        self.revision = revision
        self._routes = routes

    def find(self, key: RouteKey, name: str) -> Route:
        """Another tenant's endpoint, one outside the key's scopes and an unknown one give the same NotFound."""
        route = self._routes.get((key.tenant, name))
        if route is None or (key.scopes and name not in key.scopes):
            raise NotFound(f"There is no model {name!r} here.")
        return route

    def visible(self, key: RouteKey) -> list[Route]:
        return [
            route
            for (tenant, name), route in sorted(self._routes.items())
            if tenant == key.tenant and (not key.scopes or name in key.scopes)
        ]
