"""What was used and has no price, or no known quantity, and what nobody can tell was used: never counted as free."""

from __future__ import annotations

from typing import Any

from gristmill.books import leases
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found
from gristmill.core.money import MICRO

_UNSETTLED = "unsettled = what gateways that died had leased of hard budgets, and may have used or not."


def report(scope: Scope) -> dict[str, Any]:
    rows = [
        {
            "account": row["account"],
            "item": row["item"],
            "unit": row["unit"],
            "quantity": -row["quantity"] if row["quantity"] else None,
            "entries_of_unknown_quantity": max(0, row["unknown"]),
        }
        for row in scope.sums(("account", "item", "unit"), "inputs:", "revenue:", where={"unpriced": True})
        if row["quantity"] or row["unknown"] > 0
    ]
    notes = ["Set a price with `gristmill books rates`; it holds from then on."] if rows else []
    unsettled = leases.unsettled_by_place(scope.connection, scope.tenant)
    if unsettled:
        notes.append(_UNSETTLED)
    rows += [
        {"account": "unsettled", "item": f"budget of {place}", "unit": currency, "quantity": micro / MICRO,
         "entries_of_unknown_quantity": 0}
        for (place, currency), micro in unsettled.items()
    ]  # fmt: skip
    return found("unpriced", rows, notes)
