"""The books as FOCUS 1.2 (FinOps Open Cost and Usage Specification): what a key was charged for an item in a day.

BilledCost is what is posted, to the micro-unit; ListCost and ContractedCost are quantity × price before rounding.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from gristmill.books.accounts import MEMORANDUM
from gristmill.books.charges import Charge, daily_charges, invoice_number
from gristmill.books.records import Connection
from gristmill.core.money import MICRO
from gristmill.core.periods import DAY_S, month, month_of
from gristmill.core.reports import ExportForm
from gristmill.core.units import base_units

Row = dict[str, Any]
_EXACT = Context(prec=60)
_ISSUER = "Gristmill"
# A price has 18 places at most, a quantity of a million tokens 6 more: their product is not rounded
_COST, _QUANTITY, _PRICE = pa.decimal128(38, 24), pa.decimal128(38, 9), pa.decimal128(38, 18)
_TEXT, _TIME = pa.string(), pa.timestamp("s", "UTC")
# Every column of 1.2, in its order; those of commitments, capacity and regions mean nothing here and are null
_NAMES = """AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingAccountType BillingCurrency
    BillingPeriodEnd BillingPeriodStart CapacityReservationId CapacityReservationStatus ChargeCategory ChargeClass
    ChargeDescription ChargeFrequency ChargePeriodEnd ChargePeriodStart CommitmentDiscountCategory CommitmentDiscountId
    CommitmentDiscountName CommitmentDiscountQuantity CommitmentDiscountStatus CommitmentDiscountType
    CommitmentDiscountUnit ConsumedQuantity ConsumedUnit ContractedCost ContractedUnitPrice EffectiveCost InvoiceId
    InvoiceIssuerName ListCost ListUnitPrice PricingCategory PricingCurrency PricingCurrencyContractedUnitPrice
    PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice PricingQuantity PricingUnit ProviderName PublisherName
    RegionId RegionName ResourceId ResourceName ResourceType ServiceCategory ServiceName ServiceSubcategory SkuId
    SkuMeter SkuPriceDetails SkuPriceId SubAccountId SubAccountName SubAccountType Tags""".split()
_BY_ENDING = {"Cost": _COST, "Price": _PRICE, "Quantity": _QUANTITY, "PeriodStart": _TIME, "PeriodEnd": _TIME}
COLUMNS: dict[str, Any] = {
    name: next((type_ for ending, type_ in _BY_ENDING.items() if name.endswith(ending)), _TEXT) for name in _NAMES
}
# (ServiceName, ServiceSubcategory) by unit: a service has one subcategory
_GENERATING, _SERVING = ("Text generation", "Generative AI"), ("Model serving", "Machine Learning")
_UNITS = {"request": "Requests", "prediction": "Predictions", "explanation": "Explanations", "token": "Tokens"}


def write_focus(connection: Connection, tenant: str, form: ExportForm, path: Path) -> None:
    """CSV (times as 2026-11-01T00:00:00Z) or Parquet."""
    rows = list(_rows(connection, tenant))
    schema = pa.schema(list(COLUMNS.items()))
    table = pa.table({name: [row.get(name) for row in rows] for name in COLUMNS}, schema=schema)
    if form == ExportForm.focus_parquet:
        pyarrow.parquet.write_table(table, path, compression="zstd")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(map(_plain, values) for values in zip(*map(_values, table.columns), strict=True))


def _values(column: Any) -> list[Any]:
    return list(column.to_pylist())


def _plain(value: str | datetime | Decimal | None) -> str:
    """Times in the form that FOCUS wants; decimals without their last zeros, but with one place at least: readers of
    CSV take the type of a column from its values, and the official validator wants no whole numbers."""
    if isinstance(value, Decimal):
        whole, _, places = format(value, "f").partition(".")
        return f"{whole}.{places.rstrip('0') or '0'}"
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value or ""


def _rows(connection: Connection, tenant: str) -> Iterator[Row]:
    """What has no price has no currency to be billed in, and no row: report `unpriced` tells it."""
    for charge in daily_charges(connection, tenant):
        if charge.currency != MEMORANDUM:
            yield _when(charge, tenant) | _whose(charge, tenant) | _what(charge, tenant) | _costs(charge)


def _when(charge: Charge, tenant: str) -> Row:
    assert charge.day is not None  # asked for by day
    start, end = month(charge.month)
    corrects = month_of(charge.day) != charge.month  # of what was invoiced in another month
    return {
        "BillingPeriodStart": _time(start), "BillingPeriodEnd": _time(end),
        "InvoiceId": invoice_number(tenant, charge.month), "ChargeClass": "Correction" if corrects else None,
        "ChargePeriodStart": _time(charge.day * DAY_S), "ChargePeriodEnd": _time((charge.day + 1) * DAY_S),
    }  # fmt: skip


def _whose(charge: Charge, tenant: str) -> Row:
    return {
        "BillingAccountId": tenant, "BillingAccountName": tenant, "BillingAccountType": "Tenant",
        "BillingCurrency": charge.currency, "SubAccountId": charge.key, "SubAccountName": charge.key,
        "SubAccountType": "Key", "InvoiceIssuerName": _ISSUER, "ProviderName": _ISSUER, "PublisherName": _ISSUER,
    }  # fmt: skip


def _what(charge: Charge, tenant: str) -> Row:
    service, subcategory = _GENERATING if charge.unit == "token" else _SERVING
    unit = _UNITS.get(charge.unit, charge.unit)
    tags = {"gristmill/rate": charge.rate.id} if charge.rate is not None else {}
    tags |= {"gristmill/model": charge.version.partition("@")[0], "gristmill/version": charge.version}
    return {
        "ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based",
        "ChargeDescription": f"{unit} of {charge.version} at the endpoint {charge.endpoint}",
        "ServiceCategory": "AI and Machine Learning", "ServiceName": service, "ServiceSubcategory": subcategory,
        "ResourceId": f"{tenant}/{charge.endpoint}", "ResourceName": charge.endpoint,
        "ResourceType": "Endpoint", "SkuId": charge.item, "SkuMeter": unit, "Tags": json.dumps(tags, sort_keys=True),
        "ConsumedQuantity": _exact(charge.quantity), "ConsumedUnit": unit,
    }  # fmt: skip


def _costs(charge: Charge) -> Row:
    """Price and quantity by the rate's own unit: a price of 1,000 requests is of `1000 Requests`."""
    rate, billed = charge.rate, Decimal(charge.micro) / MICRO
    units = base_units(charge.item, rate.unit) if rate is not None else Decimal(1)
    price = Decimal(rate.price) if rate is not None else None
    quantity = _exact(charge.quantity) / units
    cost = billed if price is None else _EXACT.multiply(quantity, price)
    unit = _UNITS.get(charge.unit, charge.unit)
    return {
        "BilledCost": billed, "EffectiveCost": billed, "PricingCurrencyEffectiveCost": billed, "ListCost": cost,
        "ContractedCost": cost, "ListUnitPrice": price, "ContractedUnitPrice": price,
        "PricingCurrencyListUnitPrice": price, "PricingCurrencyContractedUnitPrice": price,
        "PricingCurrency": charge.currency, "PricingCategory": "Standard", "PricingQuantity": quantity,
        "PricingUnit": unit if units == 1 else f"{units} {unit}",
        "SkuPriceId": f"{charge.item}/{rate.item}/{rate.unit}" if rate is not None else None,
    }  # fmt: skip


def _exact(quantity: float) -> Decimal:
    return Decimal(repr(round(quantity, 9)))


def _time(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)
