"""Energy and CO2 by what used them, and how they are known; what no counter told stays unknown."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found
from gristmill.books.reports.unit_cost import answered

# kg CO2 a kWh: world mean of electricity, 445 g in 2024 (IEA, Electricity 2025); your grid's differs, so: assumed
CO2_KG_PER_KWH = 0.445
_ITEM = "energy.electricity"
_NOTHING_KWH = 1e-12  # what is left of sums of fractions that cancel
_NOTES = (
    f"CO2 is assumed at {CO2_KG_PER_KWH} kg a kWh, the world's mean.",
    "Where entries of unknown energy stand beside known ones, the kWh are a lower bound.",
)


def report(scope: Scope) -> dict[str, Any]:
    requests = answered(scope)
    by_account: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in scope.sums(("account", "version", "basis"), "assets:", "expense:", "served:", where={"item": _ITEM}):
        if abs(row["quantity"]) >= _NOTHING_KWH or row["unknown"] > 0:
            by_account[row["account"]].append(row)
    rows = []
    for account, parts in by_account.items():
        version = parts[0]["version"] if account.startswith("served:") else None
        kwh = sum(part["quantity"] for part in parts) or None  # None: only what no counter told
        co2 = None if kwh is None else kwh * CO2_KG_PER_KWH
        asked = 0 if version is None else requests.get(version, 0)
        rows.append(
            {
                "account": account,
                "basis": ", ".join(sorted({part["basis"] for part in parts})),
                "kwh": kwh,
                "co2_kg": co2,
                "kwh_per_1000_requests": _per_1000(kwh, asked),
                "co2_kg_per_1000_requests": _per_1000(co2, asked),
                "entries_of_unknown_energy": sum(max(0, part["unknown"]) for part in parts),
            }
        )
    return found("energy", rows, _NOTES)


def _per_1000(amount: float | None, requests: int) -> float | None:
    return amount / requests * 1000 if amount is not None and requests else None
