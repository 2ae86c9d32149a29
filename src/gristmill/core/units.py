"""What is counted, in which base unit, and which units a rate may be quoted in."""

from __future__ import annotations

from decimal import Decimal

from gristmill.core.errors import Unprocessable
from gristmill.core.money import CURRENCIES

EMISSIONS, EXCHANGE, ELECTRICITY = "emissions", "exchange", "energy.electricity"

# item → its base unit, in which quantities are posted
BASE_UNITS = {
    "compute.cpu": "core_second",
    "compute.memory": "gib_second",
    "compute.gpu": "gpu_second",
    ELECTRICITY: "kwh",
    "people.hours": "person_hour",
    "storage.blobs": "gb_month",
    "serving.request": "request",
    "serving.prediction": "prediction",
    "serving.explanation": "explanation",
    "serving.token": "token",
}
_IN_BASE_UNITS = {
    "core_second": {"core_second": 1, "core_minute": 60, "core_hour": 3600},
    "gib_second": {"gib_second": 1, "gib_minute": 60, "gib_hour": 3600},
    "gpu_second": {"gpu_second": 1, "gpu_minute": 60, "gpu_hour": 3600},
    "kwh": {"kwh": 1, "mwh": 1000},
    "person_hour": {"person_hour": 1, "person_day": 8},
    "gb_month": {"gb_month": 1, "tb_month": 1000},
    "request": {"request": 1, "1k_requests": 1000, "1m_requests": 1_000_000},
    "prediction": {"prediction": 1, "1k_predictions": 1000, "1m_predictions": 1_000_000},
    "explanation": {"explanation": 1, "1k_explanations": 1000},
    "token": {"token": 1, "1k_tokens": 1000, "1m_tokens": 1_000_000},
}


def base_item(item: str) -> str:
    """`people.hours:data scientist` → `people.hours`: what stands after the colon narrows the item."""
    return item.partition(":")[0]


def base_units(item: str, unit: str) -> Decimal:
    """How many base units one `unit` of `item` is; a currency is its own unit.

    Raises Unprocessable for an unknown item, or another's unit.
    """
    if item in CURRENCIES and unit == item:
        return Decimal(1)
    base = BASE_UNITS.get(base_item(item))
    if base is None:
        raise Unprocessable(
            f"There is no item {item!r} on a rate card: there are {', '.join(BASE_UNITS)}.",
            field="item", got=item, expected=list(BASE_UNITS),
        )  # fmt: skip
    known = _IN_BASE_UNITS[base]
    if unit not in known:
        raise Unprocessable(
            f"{item} is not priced by {unit!r}: its units are {', '.join(known)}.",
            field="unit", got=unit, expected=list(known),
        )  # fmt: skip
    return Decimal(known[unit])


def check_item(card: str, item: str, unit: str) -> Decimal:
    """`base_units` of what a rate card prices. Raises Unprocessable, also for an item of another card."""
    units = base_units(item, unit)
    if (item in CURRENCIES) != (card == EXCHANGE):
        raise Unprocessable(f"{item} is not on the card {card}: currencies, and only they, are on the card exchange.",
                            field="item", got=item)  # fmt: skip
    if card == EMISSIONS and base_item(item) != ELECTRICITY:
        raise Unprocessable(f"{item} is not on the card {card}: its prices are grams of CO2 by kWh of {ELECTRICITY}.",
                            field="item", got=item)  # fmt: skip
    return units
