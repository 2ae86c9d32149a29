"""Leases: slices of hard budgets that gateways hold, until the books have what was used of them.

A lease counts in full from the write that grants it. What is posted of it moves over to the books' own figure, in the
posting's transaction; what is left when its gateway's process is gone and its journal posted is unsettled: it may have
been used, and counts as used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from sqlalchemy import ColumnElement, Update, func, select, update

from gristmill.books.budgets import Budget, hard_budget
from gristmill.books.records import Connection
from gristmill.core.faults import fault_point
from gristmill.core.ids import derived_id
from gristmill.core.leases import Granted, Lease
from gristmill.store.database import insert_new
from gristmill.store.tables import leases

_before_settled = fault_point("leases.before-settled")


class State(StrEnum):
    open = "open"
    ended = "ended"  # its gateway has given back what it had not used
    settled = "settled"


def grant(connection: Connection, lease: Lease, gateways: int, now: float) -> Granted:
    """Take the gateway's word on what it holds, and give it what it wants, as far as the budget goes.

    No gateway of several takes more than an equal part of half of what is left, unless one request needs it: the slices
    shrink to one request's as the budget ends, and none sits on the last of it while another refuses.
    """
    id_ = derived_id("lease", lease.life, lease.tenant, lease.place, lease.currency)
    if not _noted(connection, id_, lease, now) or not lease.wanted_micro:
        return Granted(id_, 0, 0)
    budget = hard_budget(connection, lease.tenant, lease.place, lease.currency)
    if budget is None:  # it was removed, and the gateway has not heard yet
        micro = available = lease.wanted_micro
    else:
        available = left(connection, lease.tenant, budget, now)
        more = min(lease.wanted_micro, available // (2 * gateways)) - lease.least_micro
        part = lease.least_micro + max(0, more) // lease.unit_micro * lease.unit_micro
        micro = part if part <= available else 0
    if micro:
        connection.execute(_of(id_), {"micro": lease.held_micro + micro})
    return Granted(id_, micro, max(0, available - micro))


def left(connection: Connection, tenant: str, budget: Budget, now: float) -> int:
    """Micro-units of the budget that are neither used, nor leased, nor unsettled; below 0 where it is overdrawn."""
    since = budget.since(now)
    used = sum(budget.used_by_day(connection, tenant, since, now).values())
    held = leased(connection, tenant, budget)
    return budget.micro - used - held - unsettled(connection, tenant, budget, now)


def _noted(connection: Connection, id_: str, lease: Lease, now: float) -> bool:
    """False for a message that comes after a newer one."""
    state = State.ended if lease.ended else State.open
    row = {"id": id_, "tenant": lease.tenant, "place": lease.place, "currency": lease.currency,
           "gateway": lease.gateway, "life": lease.life, "number": lease.number, "micro": lease.held_micro,
           "posted_micro": 0, "unsettled_micro": 0, "state": state, "opened_at": now, "settled_at": None}  # fmt: skip
    if insert_new(connection, leases, [row]):
        return True
    said = {"number": lease.number, "micro": lease.held_micro, "state": state, "settled_at": None}
    return bool(connection.execute(_of(id_).where(leases.c.number < lease.number), said).rowcount)


def post_use(connection: Connection, used: Mapping[tuple[str, str], int]) -> None:
    """What the books have now, micro-units by (lease, currency)."""
    for (id_, currency), micro in used.items():
        moved = _of(id_).where(leases.c.currency == currency)
        connection.execute(moved.values(posted_micro=leases.c.posted_micro + micro))


def abandoned(connection: Connection, gateway: str, alive: bool) -> list[str]:
    """Leases of the gateway's earlier lives, of all its lives where it is not `alive`, and those that it has ended."""
    query = select(leases.c.id, leases.c.life, leases.c.state).where(
        leases.c.gateway == gateway, leases.c.state != State.settled
    )
    rows = connection.execute(query.order_by(leases.c.opened_at)).all()
    newest = rows[-1].life if rows and alive else None
    return [row.id for row in rows if row.life != newest or row.state == State.ended]


def settle(connection: Connection, ids: Iterable[str], now: float) -> int:
    """Close abandoned leases, whose gateway's journal is posted to its end; what is open of them, in micro-units."""
    unsettled = 0
    for id_ in ids:
        row = connection.execute(select(leases).where(leases.c.id == id_)).mappings().one()
        left = max(0, row["micro"] - row["posted_micro"]) if row["state"] == State.open else 0
        _before_settled()
        connection.execute(_of(id_), {"state": State.settled, "unsettled_micro": left, "settled_at": now})
        unsettled += left
    return unsettled


def leased(connection: Connection, tenant: str, budget: Budget) -> int:
    """Micro-units that gateways hold, or have used and the books do not have yet."""
    total = func.coalesce(func.sum(leases.c.micro - leases.c.posted_micro), 0)
    query = select(total).where(*_from(tenant, budget), leases.c.state != State.settled)
    return int(connection.execute(query).scalar_one())


def unsettled(connection: Connection, tenant: str, budget: Budget, now: float) -> int:
    """Micro-units that gateways which died in this period may have used, or not; to set a budget anew clears them."""
    since = max(budget.since(now), budget.set_at)
    total = func.coalesce(func.sum(leases.c.unsettled_micro), 0)
    query = select(total).where(*_from(tenant, budget), leases.c.settled_at >= since)
    return int(connection.execute(query).scalar_one())


def unsettled_by_place(connection: Connection, tenant: str) -> dict[tuple[str, str], int]:
    """Micro-units by (place, currency), of all time."""
    query = select(leases.c.place, leases.c.currency, func.sum(leases.c.unsettled_micro))
    query = query.where(leases.c.tenant == tenant, leases.c.unsettled_micro > 0)
    rows = connection.execute(query.group_by(leases.c.place, leases.c.currency).order_by(leases.c.place))
    return {(place, currency): int(micro) for place, currency, micro in rows}


def _from(tenant: str, budget: Budget) -> tuple[ColumnElement[bool], ...]:
    return leases.c.tenant == tenant, leases.c.place == budget.place, leases.c.currency == budget.currency


def _of(id_: str) -> Update:
    return update(leases).where(leases.c.id == id_)
