"""A price is looked up at the moment of use, as it was known when it was recorded; nothing is ever changed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gristmill.books.posting import post
from gristmill.books.rate_cards import known, list_rates, lookup, set_rate
from gristmill.books.records import Connection
from gristmill.core.errors import Unprocessable
from gristmill.store.database import Database
from tests.books.histories import TENANT, balances, hours, in_memory


def priced(connection: Connection, price: str = "0.05USD", **changes: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"card": "cost", "item": "compute.cpu", "unit": "core_hour", "valid_from": 100.0,
                            "known_from": 100.0}  # fmt: skip
    return set_rate(connection, TENANT, price=price, **(said | changes))


def price_at(connection: Connection, at: float, known_at: float = 1e9, item: str = "compute.cpu") -> str | None:
    rate = lookup(known(connection, TENANT), "cost", item, at, known_at)
    return None if rate is None else rate.price


def test_a_tenant_starts_with_assumed_defaults() -> None:
    with in_memory().read() as connection:
        rates = list_rates(connection, TENANT)
    assert {rate["basis"] for rate in rates} == {"assumed"}
    assert all("replace it" in rate["note"] for rate in rates)


def test_a_new_rate_succeeds_the_old_one_from_its_moment_on(database: Database) -> None:
    with database.write() as connection:
        priced(connection)
        priced(connection, "0.06USD", valid_from=200.0, valid_to=300.0, known_from=150.0)
        assert [price_at(connection, at) for at in (99, 100, 199, 200, 299, 300)] == [
            "0.04", "0.05", "0.05", "0.06", "0.06", "0.05",
        ]  # fmt: skip
        assert price_at(connection, 250, known_at=149) == "0.05"


def test_a_correction_holds_for_what_is_recorded_after_it_was_known() -> None:
    with in_memory().write() as connection:
        priced(connection)
        priced(connection, "0.07USD", known_from=500.0)
        assert price_at(connection, 150, known_at=499) == "0.05"
        assert price_at(connection, 150, known_at=500) == "0.07"
        assert len([rate for rate in list_rates(connection, TENANT) if rate["item"] == "compute.cpu"]) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"valid_from": 150.0, "valid_to": 250.0}, "overlaps"),
        ({"valid_from": 250.0, "valid_to": 350.0}, "overlaps"),
        ({"valid_from": 250.0}, "overlaps"),
        ({"valid_from": 50.0}, "overlaps"),
        ({"valid_from": 50.0, "valid_to": 40.0}, "ends before it begins"),
        ({"price": "-1USD"}, "0 or more"),
        ({"price": "NaNUSD"}, "0 or more and finite"),
        ({"price": "1e12USD"}, "at most 100,000,000 USD"),
        ({"price": "1e13USD"}, "at most 1,000,000,000,000"),
        ({"price": "1e-999999USD"}, "18 decimal places"),
        ({"price": "1ZZZ"}, "not a known currency"),
        ({"price": "cheap"}, "not a"),
        ({"item": "compute.tpu"}, "no item 'compute.tpu'"),
        ({"unit": "gb_month"}, "not priced by 'gb_month'"),
        ({"card": "wish"}, "no rate card 'wish'"),
    ],
)
def test_an_overlapping_or_impossible_rate_is_refused(changes: dict[str, Any], said: str) -> None:
    with in_memory().write() as connection:
        priced(connection, valid_from=200.0, valid_to=300.0)
        before = list_rates(connection, TENANT)
        with pytest.raises(Unprocessable, match=said):
            priced(connection, **changes)
        assert list_rates(connection, TENANT) == before


def test_a_narrower_item_goes_before_the_general_one() -> None:
    database = in_memory()
    with database.write() as connection:
        priced(connection, "200USD", item="people.hours:data scientist", unit="person_hour")
        post(connection, hours("model:digits", 1.0))
        assert price_at(connection, 150, item="people.hours:intern") == "80"
    assert balances(database)["assets:model:digits"] == 200_000_000


def test_a_price_that_does_not_end_is_rounded_as_if_it_did() -> None:
    with in_memory().write() as connection:
        priced(connection, "0.04USD")
        (rate,) = [rate for rate in known(connection, TENANT) if rate.valid_from == 100.0]
    assert [rate.micro(Decimal(text)) for text in ("0.045", "0.135", "0.225")] == [0, 2, 2]  # 0.5, 1.5, 2.5 micro-units
