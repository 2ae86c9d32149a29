"""What a tenant's keys owe for a month: the lines are sums of postings, so that they add up by themselves."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from gristmill.books.charges import Charge, charges, invoice_number
from gristmill.books.records import Connection
from gristmill.core.clock import iso
from gristmill.core.money import MICRO, minor_units
from gristmill.core.periods import month as period_of


def invoice(connection: Connection, tenant: str, month: str) -> dict[str, Any]:
    """{number, tenant, month, since, until, lines, totals, notes}; `month` as in 2026-11. Raises Unprocessable.

    A line is one item of one version at one rate; what a re-rating or a reversal took back is in it. `payable` is the
    total in whole cents (JPY: yen), `total_micro` the exact one.
    """
    since, until = period_of(month)
    found = charges(connection, tenant, since=since, until=until - 1, by_key=False)
    lines = [_line(charge) for charge in found]
    totals: dict[str, int] = {}
    for charge in found:
        totals[charge.currency] = totals.get(charge.currency, 0) + charge.micro
    unpriced = sum(charge.rate is None for charge in found)
    notes = ["Amounts are exact to a millionth; what is payable is rounded once, to the currency's minor unit."]
    if unpriced:
        notes.append(f"{unpriced} lines have no price and are not charged: set one with `gristmill books rates`.")
    return {
        "number": invoice_number(tenant, month),
        "tenant": tenant,
        "month": month,
        "since": iso(since),
        "until": iso(until),
        "lines": lines,
        "totals": [
            {"currency": currency, "total_micro": micro, "payable": payable(micro, currency)}
            for currency, micro in sorted(totals.items())
        ],
        "notes": " ".join(notes),
    }


def payable(micro: int, currency: str) -> str:
    """In whole cents (of JPY in whole yen), half to even."""
    smallest = Decimal(1).scaleb(-minor_units(currency))
    return str((Decimal(micro) / MICRO).quantize(smallest, ROUND_HALF_EVEN))


def _line(charge: Charge) -> dict[str, Any]:
    rate = charge.rate
    return {
        "endpoint": charge.endpoint,
        "version": charge.version,
        "item": charge.item,
        "quantity": charge.quantity,
        "unit": charge.unit,
        "price": None if rate is None else f"{rate.price} {rate.currency}/{rate.unit}",
        "rate": None if rate is None else rate.id,
        "currency": charge.currency,
        "amount_micro": charge.micro,
    }
