"""FOCUS 1.2 by the rules of its own list of columns; a DuckDB file whose views say what the books hold."""

from __future__ import annotations

import csv
import json
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet
import pytest

from gristmill.books import records
from gristmill.books.export import export
from gristmill.books.focus import COLUMNS
from gristmill.books.invoice import invoice
from gristmill.books.posting import post
from gristmill.books.rate_cards import set_rate
from gristmill.books.rerate import rerate
from gristmill.books.usage import post_usage
from gristmill.store.database import Database
from tests.books.histories import NOON, TENANT, dataset, in_memory, made, replica, run, usage

RULES = Path(__file__).parents[3] / "shared" / "data" / "ledger" / "focus_v1_2_columns.csv"
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"", "Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {"AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing"},
}


@pytest.fixture
def mill() -> Database:
    """Two keys, two months, two rates."""
    database = in_memory()
    with database.write() as connection:
        for event in (dataset(), run(), made(1), replica()):
            post(connection, event)
        post_usage(connection, "gateway", usage(100) + usage(33, 100, key="k2"), 1)
        set_rate(connection, TENANT, card="price", item="serving.request", unit="1k_requests",
                 price="0.077777777777777777EUR", valid_from=NOON + 86_400, known_from=NOON)  # fmt: skip
        post_usage(connection, "gateway", usage(50, 200, happened_at=NOON + 30 * 86_400), 2)
    return database


def focus(database: Database, path: Path) -> list[dict[str, str]]:
    with database.read() as connection:
        export(connection, TENANT, "postings", "focus", path)
    with path.open() as file:
        return list(csv.DictReader(file))


def test_every_column_is_there_with_its_type_and_values(mill: Database, tmp_path: Path) -> None:
    if not RULES.exists():
        pytest.skip("the list of FOCUS 1.2's columns is not here")
    rows = focus(mill, tmp_path / "focus.csv")
    with RULES.open() as file:
        rules = {rule["column_id"]: rule for rule in csv.DictReader(file)}
    assert rows
    assert list(COLUMNS) == list(rows[0]) == list(rules)
    for name, values in ((name, [row[name] for row in rows]) for name in rows[0]):
        if rules[name]["allows_nulls"] == "False":
            assert "" not in values, name
        for value in filter(None, values):
            _check(rules[name], value)
            assert value in ALLOWED.get(name, {value})


def _check(rule: dict[str, str], value: str) -> None:
    if rule["data_type"] == "Decimal":
        assert re.fullmatch(r"-?\d+\.\d+", value)  # or a reader of CSV takes a column of whole numbers for integers
    elif rule["data_type"] == "Date/Time":
        assert datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    elif rule["data_type"] == "JSON":
        assert isinstance(json.loads(value), dict)
    elif "Currency" in rule["value_format"]:
        assert re.fullmatch(r"[A-Z]{3}", value)


def test_billed_cost_is_what_the_books_hold_to_the_micro_unit(mill: Database, tmp_path: Path) -> None:
    rows = focus(mill, tmp_path / "focus.csv")
    with mill.read() as connection:
        posted = {row["currency"]: row["micro"] for row in records.sums(connection, TENANT, ("currency",),
                                                                         accounts=("receivable:",))}  # fmt: skip
    assert set(posted) == {"USD", "EUR"}
    for currency, micro in posted.items():
        billed = sum(Decimal(row["BilledCost"]) for row in rows if row["BillingCurrency"] == currency)
        assert billed * 1_000_000 == micro
    assert len({(row["SkuPriceId"], row["SkuId"]) for row in rows}) == len({row["SkuPriceId"] for row in rows})
    for row in rows:
        assert Decimal(row["ListUnitPrice"]) * Decimal(row["PricingQuantity"]) == Decimal(row["ListCost"])
        assert abs(Decimal(row["ListCost"]) - Decimal(row["BilledCost"])) < Decimal("0.000001")
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]


def test_focus_as_parquet_says_the_same(mill: Database, tmp_path: Path) -> None:
    rows = focus(mill, tmp_path / "focus.csv")
    with mill.read() as connection:
        export(connection, TENANT, "postings", "focus-parquet", tmp_path / "focus.parquet")
    read = pyarrow.parquet.read_table(tmp_path / "focus.parquet")
    assert read.column_names == list(COLUMNS)
    for name in ("BilledCost", "ListCost", "ListUnitPrice", "PricingQuantity"):
        assert read.column(name).to_pylist() == [Decimal(row[name]) for row in rows]


def test_a_service_has_one_subcategory_and_a_resource_one_owner(mill: Database, tmp_path: Path) -> None:
    with mill.write() as connection:
        post_usage(connection, "gateway", usage(5, 300, operation="generate", tokens={"prompt": 9, "completion": 4}), 3)
    rows = focus(mill, tmp_path / "focus.csv")
    services = {(row["ServiceName"], row["ServiceSubcategory"]) for row in rows}
    assert services == {("Model serving", "Machine Learning"), ("Text generation", "Generative AI")}
    assert {(row["ResourceId"], row["ResourceName"]) for row in rows} == {(f"{TENANT}/numbers", "numbers")}


def test_a_correction_is_netted_in_its_month_and_told_as_one_in_a_later_month(mill: Database, tmp_path: Path) -> None:
    def rated(price: str, at: float) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        with mill.write() as connection:
            set_rate(connection, TENANT, card="price", item="serving.prediction", unit="1k_predictions", price=price,
                     valid_from=NOON - 86_400, valid_to=NOON + 86_400, known_from=at)  # fmt: skip
            rerate(connection, TENANT, NOON - 86_400, at)
        rows = [row for row in focus(mill, tmp_path / "focus.csv") if row["SkuId"] == "serving.prediction"]
        return rows, [row for row in rows if row["ChargePeriodStart"] == "2023-11-14T00:00:00Z"]

    before = [row for row in focus(mill, tmp_path / "focus.csv") if row["SkuId"] == "serving.prediction"]
    rows, of_day = rated("0.07USD", NOON + 86_400)
    assert len(rows) == len(before)
    assert {(row["ListUnitPrice"], row["ChargeClass"]) for row in of_day} == {("0.07", "")}
    rows, of_day = rated("0.09USD", NOON + 60 * 86_400)
    later = [row for row in of_day if row["ChargeClass"] == "Correction"]
    assert {(row["ListUnitPrice"], row["PricingQuantity"][0] == "-") for row in later} == {("0.07", True),
                                                                                         ("0.09", False)}  # fmt: skip
    assert {row["BillingPeriodStart"] for row in later} == {"2024-01-01T00:00:00Z"}
    assert all(Decimal(row["ConsumedQuantity"]) > 0 for row in rows if not row["ChargeClass"])
    with mill.read() as connection:
        (total,) = [one for one in invoice(connection, TENANT, "2024-01")["totals"] if one["currency"] == "USD"]
    assert sum(Decimal(row["BilledCost"]) for row in later) * 1_000_000 == total["total_micro"]


def test_nobody_has_an_empty_export(mill: Database, tmp_path: Path) -> None:
    with mill.read() as connection:
        export(connection, "nobody", "postings", "focus", tmp_path / "focus.csv")
        export(connection, "nobody", "postings", "duckdb", tmp_path / "books.duckdb")
    assert len((tmp_path / "focus.csv").read_text().splitlines()) == 1


def test_usage_has_a_column_for_each_class_of_tokens_and_says_what_came_from_the_cache(
    mill: Database, tmp_path: Path
) -> None:
    classes = {"prompt": 9, "cached": 30, "completion": 4, "reasoning": 6}
    with mill.write() as connection:
        records_ = [*usage(1, 300, operation="generate", tokens=classes), *usage(1, 301, cached=True)]
        post_usage(connection, "gateway", records_, 3)
        export(connection, TENANT, "usage", "parquet", tmp_path / "usage.parquet")
        export(connection, TENANT, "usage", "csv", tmp_path / "usage.csv")
    rows = {row["id"]: row for row in pyarrow.parquet.read_table(tmp_path / "usage.parquet").to_pylist()}
    text, stored = rows["req_300"], rows["req_301"]
    assert {name: text[f"{name}_tokens"] for name in classes} == classes == json.loads(text["tokens"])
    assert (text["cached"], stored["cached"], stored["prompt_tokens"]) == (False, True, 0)
    (header, *_) = csv.reader((tmp_path / "usage.csv").open())
    assert {f"{name}_tokens" for name in classes} | {"cached"} <= set(header)


def test_the_views_of_a_duckdb_file_say_what_the_books_hold(mill: Database, tmp_path: Path) -> None:
    with mill.read() as connection:
        export(connection, TENANT, "postings", "duckdb", tmp_path / "books.duckdb")
        postings = records.count(connection, "postings", TENANT)
        asset = records.sums(connection, TENANT, ("currency",), accounts=("assets:version:",))[0]["micro"]
    with duckdb.connect(str(tmp_path / "books.duckdb"), read_only=True) as read:
        assert _one(read, "SELECT count(*) FROM postings") == postings
        assert _one(read, "SELECT count(*) FROM usage") == 183
        assert _one(read, "SELECT sum(micro) FROM postings") == 0
        assert _one(read, "SELECT sum(amount) FROM cost_by_version") * 1_000_000 == asset
        assert _one(read, "SELECT typeof(amount) FROM charges") == "DECIMAL(38,6)"
        assert _one(read, "SELECT count(DISTINCT month) FROM charges") == 2
        assert _one(read, "SELECT count(*) FROM daily") > 0
        owed = _one(read, "SELECT sum(amount) FROM charges WHERE currency = 'USD'")
        assert owed == _one(read, "SELECT sum(amount) FROM revenue_by_model WHERE currency = 'USD'")


def _one(connection: Any, query: str) -> Any:
    return connection.execute(query).fetchone()[0]
