"""What gateways route by: keys and endpoints of the database as one snapshot."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gristmill.books import rate_cards
from gristmill.books.budgets import hard_budgets
from gristmill.books.rate_cards import Rate
from gristmill.control import records
from gristmill.control.adapter_states import routed_adapters
from gristmill.control.state import Endpoint, Replica, Rollout, replica_socket
from gristmill.core.routes import (
    EndpointLimits,
    KeyLimits,
    RouteBudget,
    RouteEndpoint,
    RouteKey,
    RoutePrice,
    RouteReplica,
    RouteVersion,
    Snapshot,
)
from gristmill.core.sold import SOLD
from gristmill.core.types import Role, Signature
from gristmill.registry import versions


def snapshot(connection: records.Connection, sockets: str, gateways: int = 1, now: float = 0.0) -> Snapshot:
    """Of revision 0: whoever pushes it numbers it. `now`: whose prices hold."""
    weights = {row["tenant"]: row["weight"] for row in records.tenant_rows(connection)}
    keys = tuple(
        _key(row, weights.get(row["tenant"], 1)) for row in records.key_rows(connection) if row["revoked_at"] is None
    )
    replicas = records.live_replicas(connection)
    budgets = tuple(RouteBudget(tenant, budget.place, budget.currency) for tenant, budget in hard_budgets(connection))
    priced = {tenant: rate_cards.known(connection, tenant) for tenant in {budget.tenant for budget in budgets}}
    routed = []
    for endpoint in records.all_endpoints(connection):
        own = [one for one in replicas if (one.tenant, one.endpoint) == (endpoint.tenant, endpoint.name) and one.routed]
        rollout = records.newest_rollout(connection, endpoint.tenant, endpoint.name)
        route = _endpoint(connection, endpoint, own, rollout, sockets)
        prices = _prices(priced.get(endpoint.tenant, []), endpoint.name, now)
        routed.append(msgspec.structs.replace(route, prices=prices))
    return Snapshot(0, keys, tuple(routed), gateways, budgets)


def weights(endpoint: Endpoint, replicas: Sequence[Replica], rollout: Rollout | None) -> dict[str, int]:
    """Share of the traffic by version: its routed replicas; blue-green sends none to the new one too early."""
    counts: dict[str, int] = {}
    for replica in replicas:
        counts[replica.model] = counts.get(replica.model, 0) + 1
    target = endpoint.target.model
    moving = rollout is not None and rollout.state == "running" and rollout.strategy == "blue-green"
    if moving and target in counts and len(counts) > 1:
        counts[target] = 0
    return counts


def _endpoint(
    connection: records.Connection,
    endpoint: Endpoint,
    replicas: Sequence[Replica],
    rollout: Rollout | None,
    sockets: str,
) -> RouteEndpoint:
    shares = weights(endpoint, replicas, rollout)
    limits = msgspec.convert(endpoint.target.limits, EndpointLimits)
    routed = tuple(
        _version(connection, endpoint, model, share, [one for one in replicas if one.model == model], sockets)
        for model, share in shares.items()
    )
    return RouteEndpoint(endpoint.name, endpoint.tenant, endpoint.target.task, routed, limits)


def _version(
    connection: records.Connection,
    endpoint: Endpoint,
    model: str,
    share: int,
    replicas: Sequence[Replica],
    sockets: str,
) -> RouteVersion:
    found = versions.resolve(connection, endpoint.tenant, model)
    signature: Signature = found.manifest.signature
    routes = tuple(RouteReplica(one.id, replica_socket(sockets, one.id)) for one in replicas)
    adapters = routed_adapters(endpoint.target, found.digest, replicas)
    return RouteVersion(model, found.digest, signature, share, routes, adapters, found.created_at)


def _prices(rates: list[Rate], endpoint: str, now: float) -> dict[str, RoutePrice]:
    found = {}
    for item in SOLD:
        rate = rate_cards.lookup(rates, rate_cards.PRICE, f"{item}:{endpoint}", now, now)
        if rate is not None:
            found[item] = RoutePrice(rate.currency, rate.pico)
    return found


def _key(row: records.Values, weight: int) -> RouteKey:
    return RouteKey(
        row["id"], row["tenant"], Role(row["role"]), bytes(row["secret_hash"]), tuple(row["scopes"]),
        msgspec.convert(row["limits"], KeyLimits), row["expires_at"], weight,
        row["project"],
    )  # fmt: skip
