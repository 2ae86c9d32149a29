"""What reports read of the postings themselves, where sums by day do not tell enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select

from gristmill.books.records import Connection, Row
from gristmill.core.periods import DAY_S
from gristmill.store.tables import balances, events, postings

_PEOPLE = "inputs:people"


def first_and_last_day(connection: Connection, tenant: str) -> tuple[int, int] | None:
    """Days since the epoch that the tenant's books span; None for empty books."""
    query = select(func.min(balances.c.day), func.max(balances.c.day)).where(balances.c.tenant == tenant)
    first, last = connection.execute(query).one()
    return None if first is None else (first, last)


def declared_hours(connection: Connection, tenant: str, since: float | None, until: float | None) -> list[Row]:
    """Lines of hours with `who` and `on` of their events; of a reversal or a re-rating, those of what it is of."""
    reversed_, rated = events.alias("reversed"), events.alias("rated")
    query = (
        select(postings.c.quantity, postings.c.micro, postings.c.currency, postings.c.unpriced,
               func.coalesce(rated.c.payload, reversed_.c.payload, events.c.payload,
                             type_=events.c.payload.type).label("payload"))
        .join(events, events.c.id == postings.c.event)
        .outerjoin(reversed_, reversed_.c.id == events.c.reverses)
        .outerjoin(rated, rated.c.id == func.coalesce(events.c.rerates, reversed_.c.rerates))
        .where(postings.c.tenant == tenant, postings.c.account == _PEOPLE, *_days(since, until))
        .order_by(postings.c.number)
    )  # fmt: skip
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return [row | {"who": row["payload"]["who"], "on": row["payload"]["on"]} for row in rows if "who" in row["payload"]]


def first_and_sum(connection: Connection, tenant: str, by: Sequence[str], accounts: Sequence[str]) -> list[Row]:
    """Of `accounts` (whole names), by `by`: the number `first` of the first posting, and the sum `micro` of all."""
    columns = [func.coalesce(postings.c[name], "").label(name) for name in by]
    summed = [func.min(postings.c.number).label("first"), func.sum(postings.c.micro).label("micro")]
    query = select(*columns, *summed).where(postings.c.tenant == tenant, postings.c.account.in_(accounts))
    rows = connection.execute(query.group_by(*columns)).mappings()
    return [dict(row) | {"micro": int(row["micro"])} for row in rows]


def lines_of_day(
    connection: Connection, tenant: str, day: int, by: Sequence[str], accounts: Sequence[str]
) -> list[Row]:
    """Sums of a day's postings by `by` and the moment they happened, of accounts with the prefixes `accounts`."""
    columns: list[Any] = [func.coalesce(postings.c[name], "").label(name) for name in by]
    of_accounts = or_(*(postings.c.account.startswith(prefix, autoescape=True) for prefix in accounts))
    summed = [func.sum(postings.c.micro).label("micro"), func.sum(postings.c.quantity).label("quantity")]
    query = (
        select(*columns, postings.c.unpriced, postings.c.happened_at, *summed)
        .where(postings.c.tenant == tenant, of_accounts, *_days(day * DAY_S, day * DAY_S))
        .group_by(*columns, postings.c.unpriced, postings.c.happened_at)
    )
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return [row | {"micro": int(row["micro"]), "quantity": row["quantity"] or 0.0} for row in rows]


def _days(since: float | None, until: float | None) -> list[ColumnElement[bool]]:
    """Whole days, both ends included."""
    bounds: list[ColumnElement[bool]] = []
    if since is not None:
        bounds.append(postings.c.happened_at >= since // DAY_S * DAY_S)
    if until is not None:
        bounds.append(postings.c.happened_at < (until // DAY_S + 1) * DAY_S)
    return bounds
