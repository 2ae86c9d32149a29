"""Who shares a pool's cost, and with which weights: alike, in proportion to their own cost, or by a metric."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum

from gristmill.books import accounts, records
from gristmill.books.accounts import MEMORANDUM
from gristmill.books.events import Event, cost_allocated
from gristmill.books.exchange import exchanged
from gristmill.books.moving import NOTHING
from gristmill.books.people import found_place
from gristmill.books.posting import post
from gristmill.books.rate_cards import known
from gristmill.books.records import Connection, Row
from gristmill.books.writing_down import AMORTISATION
from gristmill.core.errors import Unprocessable
from gristmill.core.money import MICRO, Money


class Spread(StrEnum):
    """How shared cost is spread."""

    uniform = "uniform"
    proportional = "proportional"
    metric = "metric"


# metric → the account and the item whose quantity it is
METRICS = {
    "requests": ("units:requests:", None),
    "predictions": ("units:served:", None),
    "tokens": ("units:tokens:", None),
    "core_seconds": ("inputs:compute", "compute.cpu"),
    "gpu_seconds": ("inputs:compute", "compute.gpu"),
    "kwh": ("inputs:energy", "energy.electricity"),
    "hours": ("inputs:people", "people.hours"),
}
_DIMENSIONS = {"model": "model", "version": "version", "run": "run"}


def allocate(
    connection: Connection, tenant: str, pool: str, spread: Spread, at: float, *, id_: str,
    on: Sequence[str] = (), metric: str | None = None, weights: Sequence[int] = (),
) -> Event:  # fmt: skip
    """Spread what stands in the pool over `on` (none: every model of the tenant that has costs); posts the event.

    Proportional: to `weights`, or, without them, to each one's own inputs so far. With the same `id_` a retry posts
    once. Raises Unprocessable for a pool in which nothing stands, a place or a metric that there is not, or weights
    that do not fit.
    """
    places = [found_place(connection, tenant, name) for name in on] or _models(connection, tenant)
    if len(set(places)) < len(places):
        raise Unprocessable("A pool is spread over each place once: one is named twice.", field="on")
    _check(spread, places, metric, weights)
    if records.stored_event(connection, id_) is None:
        _check_pool(connection, tenant, pool)
    shares = _weights(connection, tenant, spread, places, metric, weights)
    targets = [{"on": place, "weight": weight} for place, weight in zip(places, shares, strict=True)]
    event = cost_allocated(tenant, id_, pool, str(spread), metric, targets, at)
    post(connection, event, at)
    return event


def _models(connection: Connection, tenant: str) -> list[str]:
    rows = records.sums(connection, tenant, ("model",), accounts=("inputs:",))
    return [f"model:{row['model']}" for row in rows if row["model"]]


def _check(spread: Spread, places: Sequence[str], metric: str | None, weights: Sequence[int]) -> None:
    if weights and (spread != Spread.proportional or len(weights) != len(places) or min(weights) < 0):
        raise Unprocessable(
            "Weights go with the method proportional: one of 0 or more for each place.", field="weights"
        )
    if spread == Spread.metric and metric not in METRICS:
        named = f"There is no metric {metric!r}" if metric else "It is not said by which metric to spread"
        raise Unprocessable(f"{named}: there are {', '.join(METRICS)}.", field="metric")


def _check_pool(connection: Connection, tenant: str, pool: str) -> None:
    accounts_ = accounts.shared(pool), accounts.undistributed(pool)
    rows = records.sums(connection, tenant, ("item", "currency"), accounts=accounts_)
    if not any(row["micro"] or abs(row["quantity"]) >= NOTHING or row["unknown"] > 0 for row in rows):
        raise Unprocessable(f"Nothing stands in the pool {pool}: there is nothing to spread.", field="pool", got=pool)


def _weights(
    connection: Connection, tenant: str, spread: Spread, places: Sequence[str], metric: str | None,
    weights: Sequence[int],
) -> list[int]:  # fmt: skip
    if weights:
        return list(weights)
    if spread == Spread.uniform:
        return [1] * len(places)
    measured = [_measured(connection, tenant, place, metric if spread == Spread.metric else None) for place in places]
    if len({currency for by_currency in measured for currency in by_currency}) > 1:
        raise Unprocessable(
            "Costs in several currencies are in no proportion: set exchange rates, or give the weights yourself.",
            field="method",
        )
    return [sum(by_currency.values()) for by_currency in measured]


def _measured(connection: Connection, tenant: str, place: str, metric: str | None) -> dict[str, int]:
    """Millionths of a metric, or micro-units by currency."""
    account, item = METRICS[metric] if metric else ("inputs:", None)
    kind, _, name = place.partition(":")
    if kind == "version" and account.startswith("inputs:"):
        rows = _put_into(connection, tenant, name, item)
    else:
        where = {"item": item, _DIMENSIONS.get(kind, "item"): name if kind in _DIMENSIONS else f"data.{name}"}
        rows = records.sums(connection, tenant, ("day", "currency"), accounts=(account,), where=where)
    if metric:
        return {"": round(abs(sum(row["quantity"] for row in rows)) * MICRO)}
    rates = known(connection, tenant)
    summed: dict[str, int] = defaultdict(int)
    for row in rows:
        money = exchanged(rates, Money(abs(row["micro"]), row["currency"]), row["day"])
        summed[money.currency] += money.micro
    return {currency: micro for currency, micro in summed.items() if micro and currency != MEMORANDUM}


def _put_into(connection: Connection, tenant: str, version: str, item: str | None) -> list[Row]:
    """What was put into a version, made and served: its run's inputs were entered before there was a version."""
    held = (accounts.version_asset(version), accounts.served(version), accounts.idle_endpoint(""))
    rows = records.sums(connection, tenant, ("day", "currency", "item"), accounts=held, where={"version": version})
    return [row for row in rows if row["item"] != AMORTISATION and item in (None, row["item"])]
