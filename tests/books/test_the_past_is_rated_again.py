"""Rates that become known later: reversals and new postings, linked, where the value stands by now; or a dry run."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.books import events, records
from gristmill.books.check import check
from gristmill.books.posting import post, reverse
from gristmill.books.rate_cards import set_rate
from gristmill.books.reports.report import report
from gristmill.books.rerate import rerate
from gristmill.books.usage import post_usage
from gristmill.core.errors import Conflict, Unprocessable
from gristmill.store.database import Database
from tests.books.histories import NO_COUNTER, NOON, TENANT, balances, dataset, hours, in_memory, made, run, usage, use

LATER = NOON + 86_400


def rate(connection: records.Connection, item: str, unit: str, price: str, **more: Any) -> None:
    said: dict[str, Any] = {"card": "cost", "valid_from": NOON - 1, "known_from": LATER}
    set_rate(connection, TENANT, item=item, unit=unit, price=price, **said | more)


def rated_again(database: Database, at: float = LATER, dry_run: bool = False) -> dict[str, Any]:
    with database.write() as connection:
        found = rerate(connection, TENANT, NOON - 1, at, dry_run=dry_run)
        assert check(connection).problems == []
    return found


def books(*told: events.Event) -> Database:
    database = in_memory()
    with database.write() as connection:
        for event in told:
            post(connection, event, NOON)
    return database


def test_a_dry_run_says_what_would_change_and_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        post(connection, run(), NOON)
        rate(connection, "compute.cpu", "core_hour", "0.10USD")
    before = balances(database)
    tried = rated_again(database, dry_run=True)
    assert balances(database) == before
    (row,) = tried["rows"]
    assert (row["item"], row["old_micro"], row["new_micro"], row["change_micro"]) == (
        "compute.cpu", 80_000, 200_000, 120_000,
    )  # fmt: skip
    assert rated_again(database)["rows"] == tried["rows"]
    assert balances(database)["inputs:compute"] == before["inputs:compute"] - 120_000


def test_the_new_postings_are_linked_to_the_event_and_keep_the_new_rates_id() -> None:
    database = books(run())
    with database.write() as connection:
        rate(connection, "compute.cpu", "core_hour", "0.10USD")
    rated_again(database)
    with database.read() as connection:
        (id_,) = records.reratings_of(connection, run().id)
        rates = {row["rate"]: row["micro"] for row in records.postings_of(connection, id_) if row["micro"] > 0}
        known = {row["id"]: row["price"] for row in records.rates_of(connection, TENANT)}
    assert {known[rate] for rate in rates} == {"0.04", "0.10"}


def test_what_has_been_capitalised_is_rated_again_in_the_version() -> None:
    database = books(run(), made(datasets=()))
    with database.write() as connection:
        rate(connection, "compute.cpu", "core_hour", "0.10USD")
    rated_again(database)
    assert balances(database)["assets:version:digits@1"] == 195_000 + 60_000
    assert balances(database).get("assets:run:run_1", 0) == 0


def test_what_was_written_down_already_is_not_taken_out_of_the_asset_again() -> None:
    """195,000 micro-units are written down but for a tenth; the hour of a core turns out to have been free."""
    database = books(run(), made(units=10, datasets=()))
    with database.write() as connection:
        post_usage(connection, "gateway", usage(9, status=200), 1, NOON)
        rate(connection, "compute.cpu", "core_hour", "0USD")
    rated_again(database)
    with database.read() as connection:
        (row,) = report(connection, TENANT, "cost")["rows"]
    assert (row["amortised_micro"], row["unamortised_micro"]) == (175_500, 0)
    assert balances(database)["expense:rate-changes"] == -(40_000 - 19_500)


def test_hours_on_a_model_are_rated_again_in_the_version_that_took_them() -> None:
    database = books(hours("model:digits", 2.0), made(run_id=None, datasets=()), hours("model:digits", 1.0, "hours_2"))
    with database.write() as connection:
        rate(connection, "people.hours:data scientist", "person_hour", "100USD")
    rated_again(database)
    found = balances(database)
    assert (found["assets:version:digits@1"], found["assets:model:digits"]) == (200_000_000, 100_000_000)
    with database.read() as connection:
        (row,) = report(connection, TENANT, "people")["rows"]
    assert (row["team"], row["hours"], row["cost_micro"]) == ("data scientist", 3.0, 300_000_000)


def test_what_was_sold_is_rated_again_on_both_sides() -> None:
    with (database := in_memory()).write() as connection:
        post_usage(connection, "gateway", usage(9, status=200, tokens={"prompt": 1000}), 1, NOON)
        rate(connection, "serving.token:prompt", "1k_tokens", "0.2USD", card="price")
    rated_again(database)
    found = balances(database)
    assert found["receivable:k1"] == -found["revenue:digits"] == 9 * 50 + 9 * 200_000


def test_an_unknown_quantity_stays_unknown() -> None:
    database = books(run(used=use(energy=NO_COUNTER)))
    with database.write() as connection:
        rate(connection, "energy.electricity", "kwh", "0.30USD")
    rated_again(database)
    with database.read() as connection:
        (row,) = report(connection, TENANT, "unpriced")["rows"]
    assert row["entries_of_unknown_quantity"] == 1


def test_twice_rated_again_is_once_and_the_last_goes_first_when_reversed() -> None:
    database = books(run())
    for at, price in ((LATER, "0.10USD"), (LATER + 1, "0.20USD")):
        with database.write() as connection:
            rate(connection, "compute.cpu", "core_hour", price, known_from=at)
        assert rated_again(database, at)["events"] == 1
        assert rated_again(database, at + 0.5)["events"] == 0
    assert balances(database)["inputs:compute"] == -(2 * 200_000 + 10_000)
    with database.write() as connection:
        first, last = records.reratings_of(connection, run().id)
        for id_ in (run().id, first):
            with pytest.raises(Conflict, match="rated again"):
                reverse(connection, TENANT, id_, "a mistake", LATER)
        for id_ in (last, first, run().id):
            reverse(connection, TENANT, id_, "a mistake", LATER)
        assert check(connection).problems == []
    assert set(balances(database).values()) == {0}


def foreign(connection: records.Connection, price: str = "1.08USD", currency: str = "EUR", **more: Any) -> None:
    rate(connection, currency, currency, price, **{"card": "exchange", "known_from": NOON - 1, **more})


def test_foreign_money_goes_through_its_exchange_account_and_each_currency_sums_to_zero() -> None:
    with in_memory().write() as connection:
        foreign(connection)
        post(connection, events.service_bought(TENANT, "s", "search", 100_000_000, "EUR", "model:digits", NOON), NOON)
        lines = {(row["account"], row["currency"]): row["micro"] for row in records.postings_of(connection, "s")}
    assert lines == {
        ("assets:model:digits", "USD"): 108_000_000, ("exchange:EUR", "USD"): -108_000_000,
        ("exchange:EUR", "EUR"): 100_000_000, ("inputs:services", "EUR"): -100_000_000,
    }  # fmt: skip


def test_rates_in_foreign_money_keep_their_fractions_through_the_exchange() -> None:
    """A hundred times 0.1 EUR-micro-units at 1.08: 10.8 in dollars, whatever the parts."""
    with (database := in_memory()).write() as connection:
        foreign(connection)
        rate(connection, "storage.blobs", "gb_month", "0.001EUR", known_from=NOON - 1)
        for day in range(100):
            kept = events.storage_used(TENANT, NOON + day, NOON + day + 730 * 3600, {"version:digits@1": 100_000})
            post(connection, kept, NOON)
        (row,) = records.sums(connection, TENANT, (), accounts=("stored:version:digits@1",))
        assert check(connection).problems == []
    assert row["micro"] == 11
    assert balances(database)["inputs:storage"] == -10


def test_an_exchange_rate_that_becomes_known_later_rates_again_what_was_paid() -> None:
    with (database := in_memory()).write() as connection:
        foreign(connection)
        post(connection, events.service_bought(TENANT, "s", "search", 100_000_000, "EUR", "model:digits", NOON), NOON)
        foreign(connection, "1.10USD", known_from=LATER)
    rated_again(database)
    assert balances(database)["assets:model:digits"] == 110_000_000


def test_what_was_paid_before_any_exchange_rate_was_known_is_exchanged_afterwards() -> None:
    bought = events.service_bought(TENANT, "s", "search", 100_000_000, "EUR", "model:digits", NOON)
    database = books(bought, made(run_id=None, datasets=()))
    with database.write() as connection:
        foreign(connection, known_from=LATER)
    assert rated_again(database)["events"] == 1
    with database.read() as connection:
        found = records.sums(connection, TENANT, ("currency",), accounts=("assets:version:digits@1",))
    assert {row["currency"]: row["micro"] for row in found} == {"EUR": 0, "USD": 108_000_000}


def test_a_dataset_paid_in_foreign_money_is_exchanged_in_the_versions_made_from_it() -> None:
    """100 EUR: two versions hold a half each when the rate becomes known, and then that it was another."""
    database = books(dataset(100_000_000, currency="EUR"), made(1, run_id=None), made(2, run_id=None))
    for number, (price, worth) in enumerate((("1.08USD", 54_000_000), ("1.10USD", 55_000_000))):
        with database.write() as connection:
            foreign(connection, price, known_from=LATER + number)
        (row,) = rated_again(database, LATER + number)["rows"][:1]
        assert (row["account"], row["currency"], row["new_micro"]) == ("exchange:EUR", "USD", 2 * worth)
        with database.read() as connection:
            cost = report(connection, TENANT, "cost")["rows"]
        found = {(row["version"], row["currency"]): row["data_micro"] for row in cost if row["data_micro"]}
        assert found == {("digits@1", "USD"): worth, ("digits@2", "USD"): worth}
        assert balances(database)["assets:dataset:digits@1"] == 0
        assert balances(database).get("expense:rate-changes", 0) == 0


def test_what_a_version_wrote_down_of_its_dataset_stays_written_down_and_the_rest_is_exchanged() -> None:
    database = books(dataset(100_000_000, currency="EUR"), made(1, run_id=None))
    with database.write() as connection:
        post_usage(connection, "gateway", usage(100), 1)  # 90 of 1,000 expected predictions: 9 EUR are written down
        foreign(connection, known_from=LATER)
    rated_again(database)
    with database.read() as connection:
        rows = {row["currency"]: row for row in report(connection, TENANT, "cost")["rows"]}
    assert (rows["USD"]["capitalised_micro"], rows["USD"]["unamortised_micro"]) == (108_000_000, 108_000_000)
    assert (rows["EUR"]["capitalised_micro"], rows["EUR"]["amortised_micro"]) == (9_000_000, 9_000_000)
    assert balances(database)["expense:rate-changes"] == -9_000_000


def test_one_currency_is_the_books_own() -> None:
    with in_memory().write() as connection:
        foreign(connection)
        foreign(connection, "1.25USD", "GBP")
        for currency, price in (("USD", "0.9EUR"), ("CHF", "1.1GBP"), ("EUR", "1EUR")):
            with pytest.raises(Unprocessable, match="choose one currency"):
                foreign(connection, price, currency)
        with pytest.raises(Unprocessable, match="only they, are on the card exchange"):
            foreign(connection, "1USD", "EUR", card="cost")


def test_co2_follows_the_energy_by_the_grids_rate_and_with_its_band() -> None:
    with (database := in_memory()).write() as connection:
        set_rate(connection, TENANT, card="emissions", item="energy.electricity", unit="kwh", price="50g",
                 valid_from=NOON - 1, known_from=NOON - 1)  # fmt: skip
        post(connection, run(), NOON)
        post(connection, made(datasets=()), NOON)
        (row,) = records.sums(
            connection, TENANT, ("unit", "basis"), accounts=("assets:version:digits@1",),
            where={"item": "emissions.electricity"},
        )  # fmt: skip
    assert (row["quantity"], row["band"], row["unit"], row["basis"]) == (50.0, 25.0, "g_co2e", "modelled")
    with database.write() as connection:
        set_rate(connection, TENANT, card="emissions", item="energy.electricity", unit="kwh", price="60g",
                 valid_from=NOON - 1, known_from=LATER)  # fmt: skip
    rated_again(database)
    with database.read() as connection:
        (row,) = records.sums(connection, TENANT, (), accounts=("emissions:electricity",))
    assert row["quantity"] == -60.0
