"""Lines that correct: of reversals and re-ratings, with the day that they happened and the day that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, or_, select

from gristmill.books.records import Connection, Row, rows_of
from gristmill.store.tables import events, postings

_DAY_S = 86_400


def corrections(connection: Connection, tenant: str, by: Sequence[str], account: str) -> list[Row]:
    """Sums (`micro`, `quantity`) by the dimensions `by`, `day`, and `about`: the day of what is reversed or rated
    again; of accounts with the prefix `account`. Empty dimensions are empty text, as in the balances.
    """
    reversed_, rated = events.alias("reversed"), events.alias("rated")
    about = func.coalesce(rated.c.happened_at, reversed_.c.happened_at).label("about")
    dimensions: list[Any] = [func.coalesce(postings.c[name], "").label(name) for name in by]
    query = (
        select(*dimensions, events.c.happened_at, about, func.sum(postings.c.micro).label("micro"),
               func.sum(postings.c.quantity).label("quantity"))
        .join(postings, postings.c.event == events.c.id)
        .outerjoin(reversed_, reversed_.c.id == events.c.reverses)
        .outerjoin(rated, rated.c.id == func.coalesce(events.c.rerates, reversed_.c.rerates))
        .where(events.c.tenant == tenant, or_(events.c.reverses.is_not(None), events.c.rerates.is_not(None)),
               postings.c.account.startswith(account, autoescape=True))
        .group_by(*dimensions, events.c.happened_at, about)
    )  # fmt: skip
    return [
        {**row, "micro": int(row["micro"]), "quantity": row["quantity"] or 0.0,
         "day": int(row["happened_at"] // _DAY_S), "about": int(row["about"] // _DAY_S)}
        for row in rows_of(connection, query)
    ]  # fmt: skip
