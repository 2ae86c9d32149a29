"""Energy and CO2 by what used them, and how they are known; what no counter told stays unknown."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from gristmill.books.inputs import CO2, EMBODIED
from gristmill.books.rate_cards import ELECTRICITY
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found
from gristmill.books.reports.unit_cost import answered

_ITEMS = (ELECTRICITY, CO2, EMBODIED)
_NOTHING = 1e-12  # what is left of sums of fractions that cancel
_G_PER_KG = 1000
_NOTES = (
    "kwh band: half width of the 95 % band, where the figure is modelled. CO2 is by the grams a kWh on the card "
    "`emissions` that held then (assumed: the world's mean, 445, until you set your grid's).",
    "embodied CO2: of making the hardware, where it was told (`books compute --embodied-kg`).",
    "Where entries of unknown energy stand beside known ones, the kWh are a lower bound.",
)


def report(scope: Scope) -> dict[str, Any]:
    requests = answered(scope)
    by_account: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: {item: [] for item in _ITEMS})
    for row in scope.sums(("account", "version", "item", "basis"), "assets:", "expense:", "served:", "shared:"):
        if row["item"] in _ITEMS and (abs(row["quantity"]) >= _NOTHING or row["unknown"] > 0):
            by_account[row["account"]][row["item"]].append(row)
    rows = []
    for account, parts in by_account.items():
        power = parts[ELECTRICITY]
        version = power[0]["version"] if power and account.startswith("served:") else None
        kwh, co2, embodied = _known(power), _kg(parts[CO2]), _kg(parts[EMBODIED])
        asked = 0 if version is None else requests.get(version, 0)
        rows.append(
            {
                "account": account,
                "basis": ", ".join(sorted({part["basis"] for part in power})),
                "kwh": kwh,
                "kwh_band": abs(sum(part["band"] for part in power)) or None,
                "co2_kg": co2,
                "embodied_co2_kg": embodied,
                "kwh_per_1000_requests": _per_1000(kwh, asked),
                "co2_kg_per_1000_requests": _per_1000(co2, asked),
                "entries_of_unknown_energy": sum(max(0, part["unknown"]) for part in power),
            }
        )
    return found("energy", rows, _NOTES)


def _known(parts: list[dict[str, Any]]) -> float | None:
    """None: only what no counter told."""
    return sum(part["quantity"] for part in parts) or None


def _kg(parts: list[dict[str, Any]]) -> float | None:
    grams = _known(parts)
    return None if grams is None else grams / _G_PER_KG


def _per_1000(amount: float | None, requests: int) -> float | None:
    return amount / requests * 1000 if amount is not None and requests else None
