"""What a tenant's keys owe: the lines of invoices and of FOCUS, summed from the postings of the receivable accounts."""

from __future__ import annotations

from typing import NamedTuple

from gristmill.books import rate_cards, records
from gristmill.books.rate_cards import Rate
from gristmill.books.records import Connection

_ACCOUNT = "receivable:"
_DIMENSIONS = ("item", "unit", "rate", "endpoint", "version", "currency")


class Charge(NamedTuple):
    """`quantity` base units of `item` at `rate` (None: not priced) came to `micro`; negative for what was reversed."""

    day: int | None
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
    connection: Connection, tenant: str, *, since: float | None = None, until: float | None = None, daily: bool = False,
    by_key: bool = True,
) -> list[Charge]:  # fmt: skip
    """In the order of their dimensions; by day, and by key, where asked for. Lines that cancel out are left out."""
    by = (*(("day",) if daily else ()), "account", *_DIMENSIONS)
    rates = {rate.id: rate for rate in rate_cards.known(connection, tenant)}
    summed: dict[Charge, tuple[float, int]] = {}
    for row in records.sums(connection, tenant, by, accounts=(_ACCOUNT,), since=since, until=until):
        key = row["account"].removeprefix(_ACCOUNT) if by_key else ""
        line = Charge(row.get("day"), key, row["item"], row["unit"], rates.get(row["rate"]), row["endpoint"],
                      row["version"], row["currency"], 0.0, 0)  # fmt: skip
        quantity, micro = summed.get(line, (0.0, 0))
        summed[line] = (quantity + row["quantity"], micro + row["micro"])
    found = [line._replace(quantity=quantity, micro=micro) for line, (quantity, micro) in summed.items()]
    return sorted((line for line in found if line.quantity or line.micro), key=_order)


def _order(charge: Charge) -> tuple[int, str, str, str, str, float]:
    begins = charge.rate.valid_from if charge.rate else 0.0
    return charge.day or 0, charge.endpoint, charge.item, charge.version, charge.key, begins


def invoice_number(tenant: str, month: str) -> str:
    """One a tenant and month."""
    return f"GM-{month}-{tenant}"
