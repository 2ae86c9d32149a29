"""Budgets: what of a place's use counts, what is left, and on which day nothing will be."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gristmill.books.budgets import list_budgets, remove_budget, set_budget
from gristmill.books.burn import exhaustion, student_t
from gristmill.books.rate_cards import set_rate
from gristmill.books.reports.report import report
from gristmill.books.usage import post_usage
from gristmill.core.budgets import BudgetPeriod
from gristmill.core.errors import NotFound, Unprocessable
from gristmill.store.database import Database
from gristmill.store.tables import endpoints, keys, versions
from tests.books.histories import TENANT, usage

DAY = 86_400
FIRST = datetime(2023, 11, 10, tzinfo=UTC).timestamp()
TODAY = datetime(2023, 11, 20, 12, tzinfo=UTC).timestamp()
PLACES = ("tenant", "key:k1", "project:atlas", "model:digits", "endpoint:numbers")


@pytest.fixture
def mill(database: Database) -> Database:
    """Ten days of 10 requests at 0.10 USD, 5 of each day by another key."""
    with database.write() as connection:
        row = {"tenant": TENANT, "created_at": FIRST}
        connection.execute(endpoints.insert().values(**row, name="numbers", generation=1, spec={}, state="ready",
                                                     changed_at=FIRST))  # fmt: skip
        connection.execute(versions.insert().values(**row, model="digits", version=1, digest="sha256:1", task="t",
                                                    manifest={}, metrics={}, state="ready"))  # fmt: skip
        connection.execute(keys.insert().values(**row, id="k1", name="k1", role="consumer", scopes=[], limits={},
                                                secret_hash=b"", project="atlas"))  # fmt: skip
        set_rate(connection, TENANT, card="price", item="serving.request", unit="request", price="0.10USD",
                 valid_from=FIRST, known_from=FIRST)  # fmt: skip
        set_rate(connection, TENANT, card="price", item="serving.prediction", unit="prediction", price="0USD",
                 valid_from=FIRST, known_from=FIRST)  # fmt: skip
        for day in range(10):
            for key in ("k1", "k2"):
                first = 1_000 * day + (500 if key == "k2" else 0)
                records = usage(5, first, status=200, key=key, happened_at=FIRST + day * DAY)
                post_usage(connection, "gateway", records, 2 * day + (key == "k2") + 1)
    return database


def rows(database: Database, until: float = TODAY) -> dict[str, dict[str, Any]]:
    with database.read() as connection:
        return {row["budget"]: row for row in report(connection, TENANT, "budget", until=until)["rows"]}


def given_budget(database: Database, place: str, amount: str, **more: Any) -> None:
    with database.write() as connection:
        set_budget(connection, TENANT, place, amount, more.get("period", BudgetPeriod.total),
                   more.get("begins_at", FIRST), TODAY)  # fmt: skip


def test_a_budget_counts_what_its_place_used_from_its_first_day_on(mill: Database) -> None:
    for place in PLACES:
        given_budget(mill, place, "100USD")
    assert {place: row["used_micro"] for place, row in rows(mill).items()} == {
        "tenant": 10_000_000, "key:k1": 5_000_000, "project:atlas": 5_000_000, "model:digits": 10_000_000,
        "endpoint:numbers": 10_000_000,
    }  # fmt: skip
    given_budget(mill, "tenant", "100USD", begins_at=FIRST + 8 * DAY)
    assert rows(mill)["tenant"]["used_micro"] == 2_000_000


def test_even_use_is_gone_on_the_day_that_division_tells(mill: Database) -> None:
    given_budget(mill, "tenant", "15USD")
    row = rows(mill)["tenant"]
    assert (row["burn_micro"], row["left_micro"], row["used_share"]) == (1_000_000, 5_000_000, 0.6667)
    assert (row["earliest"], row["exhausted_on"], row["latest"]) == ("2023-11-25",) * 3


def test_a_monthly_budget_begins_anew_and_tells_no_day_after_its_month(mill: Database) -> None:
    given_budget(mill, "tenant", "15USD", period=BudgetPeriod.monthly)
    assert rows(mill)["tenant"]["exhausted_on"] == "2023-11-25"
    given_budget(mill, "tenant", "30USD", period=BudgetPeriod.monthly)
    assert rows(mill)["tenant"]["exhausted_on"] is None
    december = rows(mill, TODAY + 15 * DAY)["tenant"]
    assert (december["used_micro"], december["left_micro"]) == (0, 30_000_000)


def test_a_budget_that_is_used_up_is_over(mill: Database) -> None:
    given_budget(mill, "key:k1", "4.50USD")
    row = rows(mill)["key:k1"]
    assert (row["state"], row["left_micro"], row["exhausted_on"]) == ("over", -500_000, "2023-11-20")


def test_use_in_another_currency_is_no_part_of_a_budget(mill: Database) -> None:
    given_budget(mill, "tenant", "15EUR")
    row = rows(mill)["tenant"]
    assert (row["used_micro"], row["burn_micro"], row["exhausted_on"]) == (0, 0, None)


def test_a_place_has_one_budget_until_it_is_removed(mill: Database) -> None:
    given_budget(mill, "tenant", "15USD")
    given_budget(mill, "tenant", "20EUR")
    with mill.write() as connection:
        assert [(one.micro, one.currency) for one in list_budgets(connection, TENANT)] == [(20_000_000, "EUR")]
        assert list_budgets(connection, "another") == []
        with pytest.raises(NotFound):
            remove_budget(connection, "another", "tenant")
        remove_budget(connection, TENANT, "tenant")
        assert list_budgets(connection, TENANT) == []


@pytest.mark.parametrize(
    ("place", "amount", "begins_at"),
    [("tenant", "-1USD", FIRST), ("tenant", "0USD", FIRST), ("tenant", "nanUSD", FIRST), ("tenant", "1XYZ", FIRST),
     ("tenant", "9999999999999999999USD", FIRST), ("model:rye", "1USD", FIRST), ("key:k9", "1USD", FIRST),
     ("project:none", "1USD", FIRST),
     ("endpoint:none", "1USD", FIRST), ("model:", "1USD", FIRST), ("team:a", "1USD", FIRST),
     ("tenant", "1USD", math.nan)],
)  # fmt: skip
def test_what_is_no_budget_is_refused_in_one_sentence_and_nothing_is_kept(
    mill: Database, place: str, amount: str, begins_at: float
) -> None:
    with pytest.raises(Unprocessable) as refused:
        given_budget(mill, place, amount, begins_at=begins_at)
    assert str(refused.value).endswith(".")
    with mill.read() as connection:
        assert list_budgets(connection, TENANT) == []


@pytest.mark.parametrize("freedom", [6, 13, 27])
def test_students_quantile_is_scipys(freedom: int) -> None:
    assert student_t(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3)


@given(st.integers(1, 10**12), st.lists(st.integers(0, 10**9), max_size=28))
def test_the_day_lies_within_its_interval(left: int, daily: list[int]) -> None:
    days, earliest, latest = exhaustion(left, daily)
    if days is None or earliest is None:
        assert len(daily) < 7 or not any(daily)
        return
    assert 0 <= earliest <= days * (1 + 1e-9)
    assert latest is None or latest >= days * (1 - 1e-9)


def test_the_bounds_meet_the_prediction_interval_of_scipy() -> None:
    daily = [90, 110, 120, 80, 100, 130, 70, 105, 95, 100, 115, 85, 125, 75]
    days, earliest, latest = exhaustion(3_000, daily)
    assert earliest is not None
    assert latest is not None
    t = stats.t.ppf(0.975, len(daily) - 1)
    deviation = float(stats.tstd(daily))
    for bound, sign in ((earliest, 1), (latest, -1)):
        used = bound * 100 + sign * t * deviation * math.sqrt(bound + bound**2 / len(daily))
        assert used == pytest.approx(3_000, rel=1e-3)
    assert days == 30.0


def test_the_interval_covers_what_comes_in_19_of_20_cases() -> None:
    chance = random.Random(0)
    covered = 0
    for _ in range(1_000):
        daily = [max(0, round(chance.gauss(1_000, 300))) for _ in range(28)]
        _, earliest, latest = exhaustion(40_000, daily)
        left, day = 40_000, 0
        while left > 0:
            left -= max(0, round(chance.gauss(1_000, 300)))
            day += 1
        assert earliest is not None
        assert latest is not None
        covered += earliest <= day <= latest + 1  # days end whole
    assert 0.93 <= covered / 1_000 <= 0.99
