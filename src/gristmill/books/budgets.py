"""Budgets: how much may be used of a tenant, a key, a project, a model or an endpoint, at the rate card's prices."""

from __future__ import annotations

import math
from typing import NamedTuple

from sqlalchemy import Delete, Select, delete, insert, select

from gristmill.books import accounts, records
from gristmill.books.records import Connection
from gristmill.core.budgets import BudgetPeriod
from gristmill.core.errors import NotFound, Unprocessable
from gristmill.core.money import format_micro, parse_money
from gristmill.core.periods import DAY_S, begin, month_of
from gristmill.store.tables import budgets, endpoints, keys

TENANT = "tenant"
_MOST_MICRO = 10**18


class Budget(NamedTuple):
    """`micro` micro-units of `currency` for what `place` names: `tenant`, key:ID, project:NAME, model:NAME or
    endpoint:NAME."""

    place: str
    micro: int
    currency: str
    period: str
    begins_at: float  # the whole day (UTC) counts
    set_at: float
    hard: bool  # requests that it has no money for are refused; else it is watched

    def since(self, now: float) -> float:
        """The first moment of the period that `now` is in."""
        if self.period == BudgetPeriod.total:
            return self.begins_at
        return max(self.begins_at, begin(month_of(int(now // DAY_S))))

    def used_by_day(self, connection: Connection, tenant: str, since: float, until: float) -> dict[int, int]:
        """Micro-units of the budget's currency by days since the epoch; a day without use is not there."""
        kind, _, name = self.place.partition(":")
        if kind == "project":
            owing = tuple(accounts.receivable(key) for key in _keys_of(connection, tenant, name))
        else:
            owing = (accounts.receivable(name) if kind == "key" else "receivable:",)
        where = {kind: name} if kind in ("model", "endpoint") else {}
        rows = records.sums(connection, tenant, ("day",), accounts=owing,
                            where={**where, "currency": self.currency}, since=since, until=until)  # fmt: skip
        return {row["day"]: row["micro"] for row in rows}

    def document(self) -> dict[str, object]:
        return {**self._asdict(), "amount": f"{format_micro(self.micro)} {self.currency}"}


def set_budget(
    connection: Connection, tenant: str, place: str, amount: str, period: BudgetPeriod, begins_at: float, at: float,
    hard: bool = False,
) -> Budget:  # fmt: skip
    """Set the budget of `place`, in place of the one it had. `amount` as in 120USD.

    Raises Unprocessable for an amount that is no money or nothing, a begin that is no day, a place that there is not.
    """
    money = parse_money(amount)
    if not 0 < money.micro <= _MOST_MICRO:
        raise Unprocessable(f"A budget of {amount!r} is none: give an amount above 0, and at most a trillion.",
                            field="amount", got=amount)  # fmt: skip
    if not math.isfinite(begins_at) or begins_at < 0:
        raise Unprocessable("A budget begins on a day since 1970: write it as 2026-11-23.", field="begins")
    _check_place(connection, tenant, place)
    budget = Budget(place, money.micro, money.currency, str(period), begins_at, at, hard)
    connection.execute(_deletion(tenant, place))
    connection.execute(insert(budgets).values(tenant=tenant, **budget._asdict()))
    return budget


def remove_budget(connection: Connection, tenant: str, place: str) -> None:
    """Raises NotFound where there is none."""
    if not connection.execute(_deletion(tenant, place)).rowcount:
        raise NotFound(f"There is no budget of {place!r}: `gristmill books budgets` lists them.", got=place)


def list_budgets(connection: Connection, tenant: str) -> list[Budget]:
    query = select(*(budgets.c[name] for name in Budget._fields)).where(budgets.c.tenant == tenant)
    return [Budget(*row) for row in connection.execute(query.order_by(budgets.c.place))]


def hard_budget(connection: Connection, tenant: str, place: str, currency: str) -> Budget | None:
    return next((one for one in list_budgets(connection, tenant) if one.hard
                 and (one.place, one.currency) == (place, currency)), None)  # fmt: skip


def hard_budgets(connection: Connection) -> list[tuple[str, Budget]]:
    """Of every tenant, with whose it is."""
    query = select(budgets.c.tenant, *(budgets.c[name] for name in Budget._fields)).where(budgets.c.hard)
    rows = connection.execute(query.order_by(budgets.c.tenant, budgets.c.place))
    return [(tenant, Budget(*budget)) for tenant, *budget in rows]


def _deletion(tenant: str, place: str) -> Delete:
    return delete(budgets).where(budgets.c.tenant == tenant, budgets.c.place == place)


def _check_place(connection: Connection, tenant: str, place: str) -> None:
    kind, _, name = place.partition(":")
    if place != TENANT and not (name and _exists(connection, tenant, kind, name)):
        raise Unprocessable(f"There is nothing to set a budget on at {place!r}: name tenant, key:ID, project:NAME, "
                            "model:NAME or endpoint:NAME.", field="on", got=place)  # fmt: skip


def _keys_of(connection: Connection, tenant: str, project: str) -> list[str]:
    query = select(keys.c.id).where(keys.c.tenant == tenant, keys.c.project == project)
    return list(connection.execute(query.order_by(keys.c.id)).scalars())


def _exists(connection: Connection, tenant: str, kind: str, name: str) -> bool:
    if kind == "model":
        return records.version_exists(connection, tenant, name, None) or records.model_planned(connection, tenant, name)
    queries: dict[str, Select[tuple[str]]] = {
        "project": select(keys.c.id).where(keys.c.tenant == tenant, keys.c.project == name),
        "key": select(keys.c.id).where(keys.c.tenant == tenant, keys.c.id == name),
        "endpoint": select(endpoints.c.name).where(endpoints.c.tenant == tenant, endpoints.c.name == name),
    }
    return kind in queries and connection.execute(queries[kind]).first() is not None
