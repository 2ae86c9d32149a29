"""What was granted and not used, by its owner."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from gristmill.books.accounts import PLATFORM, shared, undistributed
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found, share

_NOTES = (
    "Idle is what was granted and not used; its owner is whoever held the grant.",
    "platform: what was granted to nobody, as long as it is not spread (`gristmill books allocate --pool platform`).",
)


def report(scope: Scope) -> dict[str, Any]:
    """`share`: of all that the owner was granted, in money; None of what was granted to nobody."""
    used: dict[tuple[str, str], int] = defaultdict(int)
    for row in scope.money(("run", "endpoint", "item"), "assets:", "expense:", "served:"):
        if row["item"].startswith("compute.") and row["micro"] > 0:
            used[_owner(row), row["currency"]] += row["micro"]
    quantities: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    money: dict[tuple[str, str], int] = defaultdict(int)
    pool = (shared(PLATFORM), undistributed(PLATFORM))
    for row in scope.money(("account", "run", "endpoint", "item", "unit"), "idle:", *pool):
        key = (row["account"].partition(":")[2], row["currency"])
        money[key] += row["micro"]
        quantities[key][row["unit"]] += row["quantity"]
    rows = [
        {
            "owner": owner,
            "currency": currency,
            "idle_micro": micro,
            "share": None if owner == PLATFORM else share(micro, micro + used.get((owner, currency), 0)),
            **{f"{unit}s": round(amount, 3) for unit, amount in sorted(quantities[owner, currency].items())},
        }
        for (owner, currency), micro in sorted(money.items(), key=lambda pair: -pair[1])
        if micro or any(quantities[owner, currency].values())
    ]
    return found("idle", rows, _NOTES)


def _owner(row: dict[str, Any]) -> str:
    return f"endpoint:{row['endpoint']}" if row["endpoint"] else f"run:{row['run']}"
