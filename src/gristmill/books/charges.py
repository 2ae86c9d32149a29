"""What a tenant's keys owe: the lines of invoices and of FOCUS, summed from the postings of the receivable accounts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gristmill.books import rate_cards, records
from gristmill.books.corrections import corrections
from gristmill.books.rate_cards import Rate
from gristmill.books.records import Connection, Row
from gristmill.core.periods import month_of

_ACCOUNT = "receivable:"
_BY = ("account", "item", "unit", "rate", "endpoint", "version", "currency")


class Charge(NamedTuple):
    """`quantity` base units of `item` at `rate` (None: not priced) came to `micro`; negative for what was reversed.

    `day` and `month` are told by day only: the day of the use, and the month in which it is billed (as in 2026-11),
    which for a correction may be a later one.
    """

    day: int | None
    month: str
    key: str
    item: str
    unit: str
    rate: Rate | None
    endpoint: str
    version: str
    currency: str
    quantity: float
    micro: int


def charges(
    connection: Connection, tenant: str, *, since: float | None = None, until: float | None = None, by_key: bool = True
) -> list[Charge]:
    """In the order of their dimensions; by key where asked for. Lines that cancel out are left out."""
    rows = records.sums(connection, tenant, _BY, accounts=(_ACCOUNT,), since=since, until=until)
    return _summed(connection, tenant, rows, by_key)


def daily_charges(connection: Connection, tenant: str) -> list[Charge]:
    """By day and key. What corrects a day of the same month is netted with it."""
    rows = records.sums(connection, tenant, ("day", *_BY), accounts=(_ACCOUNT,))
    for row in corrections(connection, tenant, _BY, _ACCOUNT):
        taken = {"micro": -row["micro"], "quantity": -row["quantity"]}
        rows += [{**row, **taken}, {**row, "day": row["about"], "month": month_of(row["day"])}]
    return _summed(connection, tenant, [{"month": month_of(row["day"]), **row} for row in rows], by_key=True)


def _summed(connection: Connection, tenant: str, rows: Iterable[Row], by_key: bool) -> list[Charge]:
    rates = {rate.id: rate for rate in rate_cards.known(connection, tenant)}
    summed: dict[Charge, tuple[float, int]] = {}
    for row in rows:
        key = row["account"].removeprefix(_ACCOUNT) if by_key else ""
        line = Charge(row.get("day"), row.get("month", ""), key, row["item"], row["unit"], rates.get(row["rate"]),
                      row["endpoint"], row["version"], row["currency"], 0.0, 0)  # fmt: skip
        quantity, micro = summed.get(line, (0.0, 0))
        summed[line] = (quantity + row["quantity"], micro + row["micro"])
    found = [line._replace(quantity=quantity, micro=micro) for line, (quantity, micro) in summed.items()]
    return sorted((line for line in found if line.quantity or line.micro), key=_order)


def _order(charge: Charge) -> tuple[str, int, str, str, str, str, float]:
    begins = charge.rate.valid_from if charge.rate else 0.0
    return charge.month, charge.day or 0, charge.endpoint, charge.item, charge.version, charge.key, begins


def invoice_number(tenant: str, month: str) -> str:
    """One a tenant and month."""
    return f"GM-{month}-{tenant}"
