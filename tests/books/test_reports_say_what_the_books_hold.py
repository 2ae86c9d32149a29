"""Each figure of a report can be worked out by hand from a small history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest

from gristmill.books.events import data_paid
from gristmill.books.export import export
from gristmill.books.people import declare
from gristmill.books.posting import post
from gristmill.books.rate_cards import set_rate
from gristmill.books.reports.report import REPORTS, report
from gristmill.books.usage import post_usage
from gristmill.core.errors import NotFound, Unprocessable
from gristmill.core.reports import Breakdown
from gristmill.store.database import Database
from tests.books.histories import NO_COUNTER, NOON, TENANT, dataset, in_memory, made, replica, run, usage, use

CORE_HOUR, GIB_HOUR, KWH = 40_000, 5_000, 150_000


@pytest.fixture
def mill(database: Database) -> Database:
    """Two versions from one dataset; the first served 90 of 1,000 predictions; one run failed."""
    with database.write() as connection:
        for event in (
            dataset(), run(), made(1), run("run_2"), made(2, "run_2"), replica(),
            run("run_3", state="failed", used=use(energy=NO_COUNTER)),
        ):  # fmt: skip
            post(connection, event)
        post_usage(connection, "gateway", usage(75, key="k1") + usage(25, 75, key="k2"), 1)
    return database


def rows(database: Database, name: str, **filters: Any) -> list[dict[str, Any]]:
    with database.read() as connection:
        found = report(connection, TENANT, name, **filters)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["report"] == name
    return found["rows"]


def test_cost_is_told_by_version_and_kind_of_input(mill: Database) -> None:
    first, second = rows(mill, "cost")
    assert first["version"] == "digits@1"
    assert first["data_micro"] == second["data_micro"] == 60_000_000
    assert first["compute_micro"] == first["idle_micro"] == CORE_HOUR + GIB_HOUR
    assert first["capitalised_micro"] == 60_000_000 + CORE_HOUR + GIB_HOUR + KWH
    # what 120 USD of data became 60 before anything was served; 90 of 1,000 units are written down
    assert first["amortised_micro"] == first["capitalised_micro"] * 90 // 1000
    assert second["amortised_micro"] == 0


def test_a_request_costs_its_serving_and_fully_loaded_its_share_of_all(mill: Database) -> None:
    (row,) = rows(mill, "unit-cost")
    marginal = round(30 / 3600 * CORE_HOUR) + round(15 / 3600 * GIB_HOUR) + KWH
    assert (row["requests"], row["predictions"], row["marginal_micro"]) == (90, 90, marginal)
    assert float(row["marginal_per_request"]) == pytest.approx(marginal / 90 / 1e6, abs=1e-9)
    loaded = marginal + row["amortisation_micro"] + row["idle_micro"]
    assert float(row["loaded_per_prediction"]) == pytest.approx(loaded / 90 / 1e6, abs=1e-9)


def test_margins_of_keys_sum_to_the_versions_own(mill: Database) -> None:
    first, second = rows(mill, "margin")
    (whole,) = rows(mill, "unit-cost")
    assert (first["key"], second["key"]) == ("k1", "k2")
    for column in ("marginal_micro", "amortisation_micro", "idle_micro"):
        assert first[column] + second[column] == whole[column]
    assert first["revenue_micro"] == 68 * 150  # 75 requests less 7 refused, 50 + 100 millionths each
    assert first["margin_micro"] == first["contribution_micro"] - first["amortisation_micro"] - first["idle_micro"]


def test_what_does_not_earn_its_serving_never_breaks_even(mill: Database) -> None:
    first, second = rows(mill, "break-even")
    assert first["payback"] == "never: a prediction earns no more than it costs to serve"
    assert second["payback"] == "no prediction served yet"


def test_break_even_is_where_contribution_has_paid_the_research() -> None:
    database = in_memory()
    with database.write() as connection:
        post(connection, dataset(cost_micro=150_000))
        post(connection, made(1, None))
        post_usage(connection, "gateway", usage(100, status=200), 1)
    (row,) = rows(database, "break-even")
    assert row["break_even_predictions"] == 1000
    assert row["payback"] == "in 9 days at 100 predictions a day"
    assert row["payback_date"] == "2023-11-23"


def test_revenue_in_a_foreign_currency_is_set_against_costs_at_its_days_exchange_rate() -> None:
    with (database := in_memory()).write() as connection:
        for at, until, price in ((0.0, NOON + 86_400, "1.08USD"), (NOON + 86_400, None, "1.25USD")):
            set_rate(connection, TENANT, card="exchange", item="EUR", unit="EUR", price=price, valid_from=at,
                     valid_to=until, known_from=0.0)  # fmt: skip
        for item, unit in (("serving.request", "1k_requests"), ("serving.prediction", "1k_predictions")):
            set_rate(connection, TENANT, card="price", item=item, unit=unit, price="500EUR", valid_from=1.0,
                     known_from=1.0)  # fmt: skip
        for event in (dataset(), run(), made(1)):
            post(connection, event)
        post_usage(connection, "gateway", usage(100), 1)
        post_usage(connection, "gateway", usage(10, 100, happened_at=NOON + 2 * 86_400), 2)
    (key,) = rows(database, "margin")
    assert (key["currency"], key["revenue_micro"]) == ("USD", 90 * 1_080_000 + 9 * 1_250_000)
    (back,) = rows(database, "break-even")
    assert (back["currency"], back["contribution_micro"]) == ("USD", key["revenue_micro"])
    assert sum(row["balance_micro"] for row in rows(database, "summary") if row["account"] == "revenue") == 99_000_000


def test_idle_names_its_owner_and_how_much_of_the_grant_it_is(mill: Database) -> None:
    found = {row["owner"]: row for row in rows(mill, "idle")}
    assert set(found) == {"run:run_1", "run:run_2", "run:run_3", "endpoint:numbers"}
    assert found["run:run_1"]["share"] == 0.5
    assert found["endpoint:numbers"]["core_seconds"] == 90.0


def test_experiments_energy_and_what_has_no_price_are_told(mill: Database) -> None:
    version, experiment = rows(mill, "experiments")
    assert (version["name"], version["state"]) == ("digits@2", "served nobody so far")
    assert (experiment["name"], experiment["cost_micro"]) == ("run_3", CORE_HOUR + GIB_HOUR)
    energy = {row["account"]: row for row in rows(mill, "energy")}
    assert energy["served:digits@1"]["kwh_per_1000_requests"] == pytest.approx(1000 / 90)
    assert energy["expense:experiments"]["kwh"] is None
    assert energy["expense:experiments"]["entries_of_unknown_energy"] == 1
    (unpriced,) = rows(mill, "unpriced")
    assert (unpriced["item"], unpriced["entries_of_unknown_quantity"]) == ("energy.electricity", 1)


def test_reports_are_narrowed_by_model_endpoint_and_days(mill: Database) -> None:
    for name in REPORTS:
        with pytest.raises((NotFound, Unprocessable), match=r"There is no model 'other'|not narrowed by a model"):
            rows(mill, name, model="other")
    with pytest.raises(NotFound, match="There is no endpoint 'elsewhere'"):
        rows(mill, "unit-cost", endpoint="elsewhere")
    assert rows(mill, "unit-cost", since=NOON + 2 * 86_400) == []
    assert rows(mill, "unit-cost", since=NOON, until=NOON) == rows(mill, "unit-cost")
    with mill.read() as connection:
        assert report(connection, "another tenant", "summary")["rows"] == []


@pytest.mark.parametrize(
    ("name", "filters"),
    [("cost", {"since": NOON}), ("inputs", {"endpoint": "numbers"}), ("datasets", {"model": "digits"}),
     ("quality-cost", {"until": NOON}), ("energy", {"team": "miller"}), ("cost", {"by": Breakdown.month})],
)  # fmt: skip
def test_what_says_nothing_about_a_report_is_refused_and_not_passed_over(
    mill: Database, name: str, filters: dict[str, Any]
) -> None:
    with pytest.raises(Unprocessable, match=f"The report {name}"):
        rows(mill, name, **filters)


def test_inputs_of_a_version_sum_to_what_is_capitalised_in_it(mill: Database) -> None:
    put_in = rows(mill, "inputs", model="digits")
    for version in rows(mill, "cost"):
        items = [row for row in put_in if row["place"] == f"version:{version['version']}"]
        assert sum(row["cost_micro"] for row in items) == version["capitalised_micro"] > 0
        assert sum(row["share"] for row in items) == pytest.approx(1, abs=1e-3)


def test_an_unknown_report_names_the_nearest() -> None:
    with in_memory().read() as connection, pytest.raises(NotFound, match="Did you mean 'margin'"):
        report(connection, TENANT, "margins")


@pytest.mark.parametrize(("table", "count"), [("usage", 100), ("postings", None), ("events", None)])
def test_exports_hold_every_row(mill: Database, table: str, count: int | None, tmp_path: Path) -> None:
    with mill.read() as connection:
        export(connection, TENANT, table, "csv", tmp_path / "csv")
        export(connection, TENANT, table, "parquet", tmp_path / "parquet")
        export(connection, "nobody", table, "csv", tmp_path / "empty")
    read = pyarrow.csv.read_csv(tmp_path / "csv")
    parquet = pyarrow.parquet.read_table(tmp_path / "parquet")
    empty = pyarrow.csv.read_csv(tmp_path / "empty")
    assert read.num_rows == parquet.num_rows
    assert count is None or read.num_rows == count
    assert empty.num_rows == 0
    assert empty.column_names == read.column_names
    if table == "postings":
        assert sum(parquet.column("micro").to_pylist()) == 0


def test_hours_on_what_does_not_exist_are_refused() -> None:
    with in_memory().write() as connection:
        for on in ("run_7", "digits@9", "digits", "version:digits@1", "dataset:digits@1", "Nonsense!"):
            with pytest.raises(Unprocessable):
                declare(connection, TENANT, "miller", 2.0, on, NOON)
        with pytest.raises(Unprocessable, match="more than 0"):
            declare(connection, TENANT, "miller", float("inf"), "digits", NOON)


def test_a_dataset_tells_what_a_row_that_survived_cleaning_cost() -> None:
    with (database := in_memory()).write() as connection:
        post(connection, dataset())
        post(connection, data_paid(TENANT, "labels", "digits@1", "labelled", 1797, "0.02USD", NOON, by_row=True))
        post(connection, made(run_id=None))
    (row,) = rows(database, "datasets")
    paid = 120_000_000 + 1797 * 20_000
    assert (row["rows"], row["paid_micro"], row["waiting_micro"]) == (1797, paid, 0)
    assert (row["in_versions_micro"], row["inherited_micro"]) == (paid, 0)
    assert float(row["paid_per_row"]) == pytest.approx(paid / 1797 / 1e6, abs=1e-9)


def test_energy_carries_the_band_of_its_model_and_the_co2_of_its_grid(mill: Database) -> None:
    found = {row["account"]: row for row in rows(mill, "energy")}
    assert (found["served:digits@1"]["kwh"], found["served:digits@1"]["kwh_band"]) == (1.0, 0.5)
    assert found["served:digits@1"]["co2_kg"] == pytest.approx(0.445)
    assert found["expense:experiments"]["co2_kg"] is None
