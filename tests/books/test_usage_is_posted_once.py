"""Every usage record counts once, whatever comes twice; what it owes and uses up is exact."""

from __future__ import annotations

import pytest

from gristmill.books import rate_cards, records
from gristmill.books.check import check
from gristmill.books.posting import post
from gristmill.books.usage import cursor, post_usage
from gristmill.store.database import Database
from tests.books.histories import NOON, TENANT, balances, dataset, in_memory, made, usage


def test_records_that_come_again_are_not_counted_again(database: Database) -> None:
    batch = usage(50)
    with database.write() as connection:
        assert post_usage(connection, "gateway", batch + batch[:5], 100) == 50
        assert cursor(connection, "gateway") == 100
    once = balances(database)
    with database.write() as connection:
        assert post_usage(connection, "gateway", usage(60)[40:], 120) == 10
        assert post_usage(connection, "other", batch, 5) == 0
        found = check(connection)
    assert (found.problems, found.usage_records, found.conflicts) == ([], 60, 0)
    assert balances(database)["revenue:digits"] == once["revenue:digits"] * 60 // 50


def test_a_batch_that_was_rolled_back_comes_again_whole(database: Database) -> None:
    def ship_and_fail() -> None:
        with database.write() as connection:
            post_usage(connection, "gateway", usage(20), 100)
            raise RuntimeError("the power is out")

    with pytest.raises(RuntimeError):
        ship_and_fail()
    with database.write() as connection:
        assert cursor(connection, "gateway") == 0
        assert post_usage(connection, "gateway", usage(20), 100) == 20
        assert check(connection).problems == []


def test_a_known_id_that_says_something_else_is_refused_and_recorded() -> None:
    with in_memory().write() as connection:
        post_usage(connection, "gateway", usage(3), 1)
        assert post_usage(connection, "gateway", usage(3, items=1000), 2) == 0
        found = check(connection)
    assert (found.problems, found.usage_records, found.conflicts) == ([], 3, 3)


def test_what_was_refused_is_counted_and_not_billed() -> None:
    database = in_memory()
    with database.write() as connection:
        post_usage(connection, "gateway", usage(30, status=503), 1)
        post_usage(connection, "gateway", usage(5, first=30, status=404, model=""), 2)
        counted = records.sums(connection, TENANT, ("account", "item"), accounts=("units:requests:",))
    assert {row["account"]: row["quantity"] for row in counted} == {
        "units:requests:digits@1": 30, "units:requests:none": 5,
    }  # fmt: skip
    assert set(balances(database).values()) == {0}


def test_prices_below_a_micro_unit_are_not_lost_however_the_requests_come() -> None:
    """3,000 requests at 0.0000001 USD are 300 micro-units: not 0, though each alone rounds to 0."""
    database = in_memory()
    with database.write() as connection:
        for item, unit in (("serving.request", "request"), ("serving.prediction", "prediction")):
            rate_cards.set_rate(connection, TENANT, card="price", item=item, unit=unit, price="0.0000001USD",
                                valid_from=1.0, known_from=1.0)  # fmt: skip
        start = 0
        for size in (1, 2, 3, 1, 7, 986, 1000, 1000):
            post_usage(connection, "gateway", usage(size, first=start, status=200), start + size)
            start += size
    assert balances(database)["receivable:k1"] == 300 + 300


def test_a_change_of_price_holds_from_its_moment_on_within_one_batch() -> None:
    database = in_memory()
    with database.write() as connection:
        for at, price in ((1.0, "1USD"), (NOON, "2USD")):
            rate_cards.set_rate(connection, TENANT, card="price", item="serving.request", unit="request", price=price,
                                valid_from=at, known_from=1.0)  # fmt: skip
        before, after = usage(2, happened_at=NOON - 1), usage(3, first=2, happened_at=NOON)
        post_usage(connection, "gateway", [*before, *after], 1)
        rows = records.sums(connection, TENANT, ("rate",), accounts=("receivable:",), where={"item": "serving.request"})
    assert sorted(row["micro"] for row in rows) == [2_000_000, 6_000_000]


def test_each_unit_served_writes_its_share_of_the_asset_down_and_the_last_takes_the_rest() -> None:
    database = in_memory()
    with database.write() as connection:
        for event in (dataset(cost_micro=1003), made(run_id=None, units=100)):
            post(connection, event)
        post_usage(connection, "gateway", usage(30, status=200), 1)
    assert balances(database)["amortised:version:digits@1"] == -(1003 * 30 // 100)
    with database.write() as connection:
        post_usage(connection, "gateway", usage(500, first=30, status=200), 2)
        post_usage(connection, "gateway", usage(5, first=530, status=200), 3)
        assert check(connection).problems == []
    assert balances(database)["amortised:version:digits@1"] == -1003
    assert balances(database)["served:digits@1"] == 1003
