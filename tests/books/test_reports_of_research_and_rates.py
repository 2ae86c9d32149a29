"""Return on R&D, cost of quality, people's hours, a change of rates; by month and by tenant; as tables and pictures."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest

from gristmill.books import events
from gristmill.books.budgets import set_budget
from gristmill.books.posting import post, reverse
from gristmill.books.rate_cards import set_rate
from gristmill.books.reports import pictures, tables
from gristmill.books.reports.rate_change import proposal
from gristmill.books.reports.report import REPORTS, report, report_of_all
from gristmill.books.reports.scope import Quality
from gristmill.books.usage import post_usage
from gristmill.core.budgets import BudgetPeriod
from gristmill.core.errors import Unprocessable
from gristmill.core.periods import begin, end, months
from gristmill.core.reports import Breakdown, ReportName
from gristmill.store.database import Database
from tests.books.histories import NOON, TENANT, dataset, hours, in_memory, made, replica, run, usage

DAY = 86_400
HOUR_OF_RUN = 40_000 + 5_000 + 150_000  # a core-hour, a GiB-hour, a kWh


@pytest.fixture
def mill(database: Database) -> Database:
    return milled(database)


def milled(database: Database) -> Database:
    """Two versions, one failed run, hours of two teams; served in November and in December 2023."""
    with database.write() as connection:
        for event in (
            dataset(), run(), hours("run:run_1"), made(1), run("run_3", state="failed"), run("run_2"), made(2, "run_2"),
            hours("version:digits@2", 3.0, "hours_2", "100EUR"), replica(),
        ):  # fmt: skip
            post(connection, event)
        post_usage(connection, "gateway", usage(100, status=200), 1)
        post_usage(connection, "gateway", usage(50, 100, status=200, happened_at=NOON + 30 * DAY), 2)
    return database


def rows(database: Database, name: str, **filters: Any) -> list[dict[str, Any]]:
    with database.read() as connection:
        found = report(connection, TENANT, name, **filters)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return list(found["rows"])


def test_every_report_of_the_list_is_made() -> None:
    assert list(REPORTS) == list(ReportName)


def test_return_on_rd_counts_failures_and_idle_as_put_in(mill: Database) -> None:
    euros, dollars = rows(mill, "return-on-rd")
    assert euros["research_micro"] == 300_000_000
    assert dollars["experiments_micro"] == HOUR_OF_RUN
    assert dollars["run_idle_micro"] == 3 * 45_000
    assert dollars["capitalised_micro"] == 120_000_000 + 2 * HOUR_OF_RUN + 160_000_000
    (served,) = (row for row in rows(mill, "unit-cost") if row["currency"] == "USD")
    assert dollars["contribution_micro"] == 150 * 150 - served["marginal_micro"]
    assert dollars["endpoint_idle_micro"] == served["idle_micro"]
    net = dollars["contribution_micro"] - dollars["endpoint_idle_micro"] - dollars["research_micro"]
    assert (dollars["net_micro"], dollars["return_share"]) == (net, round(net / dollars["research_micro"], 4))


def test_a_point_of_quality_costs_the_newer_version_and_what_was_tried_in_between(mill: Database) -> None:
    measured = [Quality(TENANT, "digits@1", "accuracy", 0.9, True), Quality(TENANT, "digits@2", "accuracy", 0.95, True)]
    euros, dollars = rows(mill, "quality-cost", qualities=measured)
    assert (dollars["from"], dollars["to"], dollars["points_gained"]) == ("digits@1", "digits@2", 5.0)
    assert dollars["cost_micro"] == 60_000_000 + HOUR_OF_RUN + HOUR_OF_RUN  # its half of the data, its run, the failed
    assert Decimal(dollars["cost_per_point"]) == Decimal(dollars["cost_micro"]) / 5_000_000
    assert euros["cost_per_point"] == "60.000000000"
    with mill.write() as connection:
        post(connection, events.cost_inherited(TENANT, "digits@2", "digits@1", "0.5", NOON))
    heir = rows(mill, "quality-cost", qualities=measured)[1]
    assert (
        heir["capitalised_micro"] - heir["inherited_micro"] + HOUR_OF_RUN == heir["cost_micro"] == dollars["cost_micro"]
    )
    assert heir["inherited_micro"] > 0
    worse = [measured[1]._replace(version="digits@1"), measured[0]._replace(version="digits@2")]
    assert [row["cost_per_point"] for row in rows(mill, "quality-cost", qualities=worse)] == [None, None]


def test_an_error_that_falls_is_a_gain(mill: Database) -> None:
    measured = [Quality(TENANT, "digits@1", "rmse", 3.0, False), Quality(TENANT, "digits@2", "rmse", 1.0, False)]
    assert [row["points_gained"] for row in rows(mill, "quality-cost", qualities=measured)] == [2.0, 2.0]


def test_hours_are_told_by_team_and_a_reversed_declaration_is_gone(mill: Database) -> None:
    with mill.write() as connection:
        post(connection, events.hours_declared(TENANT, "hours_3", "labellers", 5.0, "dataset:digits@1", NOON, "20USD"))
        post(connection, events.hours_declared(TENANT, "hours_4", "labellers", 9.0, "run:run_3", NOON, "20USD"))
        reverse(connection, TENANT, "hours_4", "typed twice", NOON)
    told = {(row["team"], row["on"]): (row["hours"], row["cost_micro"]) for row in rows(mill, "people")}
    assert told == {
        ("data scientist", "run:run_1"): (2.0, 160_000_000),
        ("data scientist", "version:digits@2"): (3.0, 300_000_000),
        ("labellers", "dataset:digits@1"): (5.0, 100_000_000),
    }
    assert [row["team"] for row in rows(mill, "people", team="labellers")] == ["labellers"]
    assert len(rows(mill, "people", model="digits")) == 2
    with pytest.raises(Unprocessable, match="not narrowed by a team"):
        rows(mill, "margin", team="labellers")


def test_a_proposed_rate_prices_the_same_quantities_anew(mill: Database) -> None:
    proposed = [proposal("compute.cpu=0.08USD/core_hour"), proposal("serving.prediction=0.05EUR/1k_predictions")]
    told = {(row["item"], row["currency"]): row for row in rows(mill, "rate-change", proposed=proposed)}
    cpu = told["compute.cpu", "USD"]
    core_s = 3 * 7200 + 120
    assert cpu["quantity"] == core_s
    assert cpu["new_micro"] == round(core_s * 80_000 / 3600)
    assert abs(cpu["old_micro"] - core_s * 40_000 / 3600) < 1  # each account rounds its own
    assert told["compute.memory", "USD"]["change_micro"] == 0
    assert told["serving.prediction", "USD"]["change_micro"] == -150 * 100
    assert told["serving.prediction", "EUR"]["change_micro"] == 150 * 50
    assert told["serving.request", "USD"]["change_micro"] == 0
    assert ("people.hours", "EUR") not in told  # their event brought its own rate


def test_a_rate_known_since_changes_the_past_from_its_very_moment(mill: Database) -> None:
    with mill.write() as connection:
        set_rate(connection, TENANT, card="price", item="serving.request", unit="request", price="1USD",
                 valid_from=NOON + 30 * DAY - 3600, known_from=NOON + 60 * DAY)  # fmt: skip
        post_usage(connection, "gateway", usage(10, 150, status=200, happened_at=NOON + 30 * DAY - 7200), 3)
    (row,) = (row for row in rows(mill, "rate-change") if row["item"] == "serving.request")
    assert row["old_micro"] == 160 * 50
    assert row["new_micro"] == 110 * 50 + 50 * 1_000_000
    assert rows(mill, "rate-change", until=end("2023-11"), model="digits")[-1]["change_micro"] == 0


@pytest.mark.parametrize("text", ["compute.cpu", "compute.cpu=3", "nothing=1USD/core_hour", "compute.cpu=-1USD/kwh"])
def test_a_proposal_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Unprocessable):
        proposal(text)


def test_months_add_up_to_the_whole(mill: Database) -> None:
    (whole,) = (row for row in rows(mill, "margin", by=Breakdown.model) if row["currency"] == "USD")
    monthly = [row for row in rows(mill, "margin", by=Breakdown.month) if row["currency"] == "USD"]
    assert [row["month"] for row in monthly] == ["2023-11", "2023-12"]
    for column in ("revenue_micro", "marginal_micro", "amortisation_micro", "idle_micro", "margin_micro"):
        assert sum(row[column] for row in monthly) == whole[column]
    narrowed = rows(mill, "margin", by=Breakdown.month, since=begin("2023-12"), until=end("2023-12"))
    assert {row["month"] for row in narrowed} == {"2023-12"}
    with pytest.raises(Unprocessable, match="does not go by month"):
        rows(mill, "cost", by=Breakdown.month)
    with pytest.raises(Unprocessable, match="Only the report margin"):
        rows(mill, "cost", by=Breakdown.model)


def test_all_tenants_are_told_one_after_the_other(mill: Database) -> None:
    with mill.write() as connection:
        post_usage(connection, "gateway", usage(10, 900, tenant="bakery"), 3)
    with mill.read() as connection:
        told = report_of_all(connection, "margin", by=Breakdown.tenant)["rows"]
    assert [(row["tenant"], row["revenue_micro"]) for row in told] == [("bakery", 9 * 150), ("mill", 150 * 150)]


def test_tokens_have_a_cost_by_the_thousand() -> None:
    database = in_memory()
    with database.write() as connection:
        post(connection, made(1, None))
        post(connection, replica())
        post_usage(connection, "gateway", usage(10, status=200, tokens={"prompt": 150, "completion": 50}), 1)
    (row,) = rows(database, "unit-cost")
    assert row["tokens"] == 2000
    assert Decimal(row["marginal_per_1000_tokens"]) == Decimal(row["marginal_micro"]) / 2_000_000
    with database.read() as connection:
        (whole, later) = (report(connection, TENANT, "summary", since=since) for since in (None, NOON + DAY))
    assert (whole["versions"], whole["requests"], whole["tokens"]) == (1, 10, {"completion": 500, "prompt": 1500})
    assert (later["versions"], later["requests"]) == (0, 0)


def test_a_month_ends_with_its_last_day() -> None:
    assert end("2024-02") == begin("2024-02-29")
    assert months(int(begin("2023-11-30") // DAY), int(begin("2024-02-01") // DAY)) == [
        "2023-11", "2023-12", "2024-01", "2024-02",
    ]  # fmt: skip
    for text in ("2023-13", "November", ""):
        with pytest.raises(Unprocessable, match="2026-11"):
            begin(text)


@pytest.mark.parametrize("name", list(REPORTS))
def test_every_report_is_a_table_for_other_programs(mill: Database, name: str) -> None:
    measured = [Quality(TENANT, "digits@1", "accuracy", 0.9, True), Quality(TENANT, "digits@2", "accuracy", 0.95, True)]
    with mill.read() as connection:
        document = report(connection, TENANT, name, qualities=measured)
    read = pyarrow.parquet.read_table(io.BytesIO(tables.as_parquet(document)))
    assert read.num_rows == len(document["rows"])
    for row, told in zip(read.to_pylist(), document["rows"], strict=True):
        assert {key: str(value) if "_per_" in key and isinstance(told[key], str) else value
                for key, value in row.items() if key in told} == told  # fmt: skip
    if document["rows"]:
        assert pyarrow.csv.read_csv(io.BytesIO(tables.as_csv(document))).num_rows == read.num_rows


@pytest.fixture(scope="module")
def drawn_mill() -> Database:
    database = milled(in_memory())
    with database.write() as connection:
        set_budget(connection, TENANT, "tenant", "5USD", BudgetPeriod.total, NOON, NOON)
    return database


@pytest.mark.parametrize("name", list(pictures.PICTURES))
def test_the_same_report_draws_the_same_picture(drawn_mill: Database, name: str) -> None:
    measured = [Quality(TENANT, "digits@1", "accuracy", 0.9, True), Quality(TENANT, "digits@2", "accuracy", 0.95, True)]
    with drawn_mill.read() as connection:
        document = report(connection, TENANT, name, qualities=measured)
    first, second = (pictures.draw(document, "svg") for _ in range(2))
    assert first == second
    assert b"<svg" in first
    assert pictures.draw(document, "png").startswith(b"\x89PNG")


def test_a_report_without_a_picture_says_so(mill: Database) -> None:
    with mill.read() as connection, pytest.raises(Unprocessable, match="has no picture"):
        pictures.draw(report(connection, TENANT, "unpriced"), "svg")
