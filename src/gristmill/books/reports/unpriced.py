"""What was used and has no price, or no known quantity: never counted as free."""

from __future__ import annotations

from typing import Any

from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found


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
    return found(
        "unpriced", rows, ("Set a price with `gristmill books rates`; it holds from then on.",) if rows else ()
    )
