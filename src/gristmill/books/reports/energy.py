"""Energy and CO2 by what used them, and how they are known; what no counter told stays unknown."""

from __future__ import annotations

from typing import Any

from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found
from gristmill.books.reports.unit_cost import answered

# kg CO2 a kWh: world mean of electricity, 445 g in 2024 (IEA, Electricity 2025); your grid's differs, so: assumed
CO2_KG_PER_KWH = 0.445
_ITEM = "energy.electricity"


def report(scope: Scope) -> dict[str, Any]:
    requests = answered(scope)
    rows = []
    for row in scope.sums(("account", "version", "basis"), "assets:", "expense:", "served:", where={"item": _ITEM}):
        if abs(row["quantity"]) < 1e-12 and row["unknown"] <= 0:
            continue
        asked = requests.get(row["version"], 0) if row["account"].startswith("served:") else 0
        kwh = row["quantity"] if row["quantity"] else None  # only what no counter told
        co2 = None if kwh is None else kwh * CO2_KG_PER_KWH
        rows.append(
            {
                "account": row["account"],
                "basis": row["basis"],
                "kwh": kwh,
                "co2_kg": co2,
                "kwh_per_1000_requests": _per_1000(kwh, asked),
                "co2_kg_per_1000_requests": _per_1000(co2, asked),
                "entries_of_unknown_energy": max(0, row["unknown"]),
            }
        )
    return found("energy", rows, (f"CO2 is assumed at {CO2_KG_PER_KWH} kg a kWh, the world's mean.",))


def _per_1000(amount: float | None, requests: int) -> float | None:
    return amount / requests * 1000 if amount is not None and requests else None
