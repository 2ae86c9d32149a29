"""Worked examples of textbooks and price lists, told to the books as they are told there."""

from __future__ import annotations

from typing import Any

from gristmill.books import events
from gristmill.books.posting import post
from gristmill.books.rate_cards import set_rate
from gristmill.books.reports.report import report
from gristmill.books.usage import post_usage
from gristmill.core.money import split_largest_remainder
from gristmill.store.database import Database
from tests.books.histories import NOON, TENANT, in_memory, usage

YEAR_S, DAY_S = 365 * 86_400, 86_400
DOLLAR = 1_000_000


def crane(dollars: int, units: int) -> Database:
    """A version that cost so much to make, expected to serve so many units."""
    database = in_memory()
    with database.write() as connection:
        post(connection, events.version_made(TENANT, "crane", 1, None, [], NOON, units))
        bought(connection, "crane", dollars, NOON)
    return database


def bought(connection: Any, id_: str, dollars: int, at: float) -> None:
    post(connection, events.service_bought(TENANT, id_, "crane", dollars * DOLLAR, "USD", "version:crane@1", at), at)


def amortised(database: Database) -> int:
    with database.read() as connection:
        (row,) = report(connection, TENANT, "cost")["rows"]
    assert row["capitalised_micro"] == row["amortised_micro"] + row["unamortised_micro"]
    return int(row["amortised_micro"])


def test_units_of_production_as_in_kieso_weygandt_and_warfield() -> None:
    """Intermediate Accounting, ch. 11, Stanley Coal Mines: 500,000 less 50,000 salvage, 30,000 hours, 4,000 used."""
    database = crane(450_000, 30_000)
    with database.write() as connection:
        post_usage(connection, "gateway", usage(1, model="crane@1", items=4_000), 1)
    assert amortised(database) == 60_000 * DOLLAR


def test_a_straight_line_and_its_change_of_estimate_as_there() -> None:
    """The same crane over 5 years is 90,000 a year. Arcadia's equipment: 510,000 less 10,000 over 10 years; after 7 of
    them 8 more years and a salvage of 5,000: 19,375 a year from then on, and the 350,000 stay as they were.
    """
    database = crane(450_000, 1)
    with database.write() as connection:
        straight(connection, 5 * 365, NOON)
        post(connection, events.write_down_due(TENANT, "crane@1", NOON + YEAR_S))
    assert amortised(database) == 90_000 * DOLLAR
    database = crane(500_000, 1)
    with database.write() as connection:
        straight(connection, 10 * 365, NOON)
        at = NOON + 7 * YEAR_S
        post(connection, events.write_down_due(TENANT, "crane@1", at))
    assert amortised(database) == 350_000 * DOLLAR
    with database.write() as connection:
        bought(connection, "less salvage", 5_000, at)
        straight(connection, 8 * 365, at)
        post(connection, events.write_down_due(TENANT, "crane@1", at + YEAR_S))
    assert amortised(database) == 369_375 * DOLLAR


def straight(connection: Any, days: int, at: float) -> None:
    post(connection, events.write_down_chosen(TENANT, "crane@1", "straight-line", at, days))


def test_largest_remainders_as_in_the_common_example_of_hare_s_quota() -> None:
    """Of 100,000 votes and 10 seats: 5, 2, 1, 1, 1, 0."""
    assert split_largest_remainder(10, [47_000, 16_000, 15_800, 12_000, 6_100, 3_100]) == [5, 2, 1, 1, 1, 0]


def test_a_price_list_of_tokens_with_cached_ones_comes_to_the_micro_unit() -> None:
    """At 2.50, 1.25 (cached) and 10.00 USD a million: 1,117 tokens read, 1,024 of them cached, 46 written, a thousand
    times, in batches of seven: (93 x 2.50 + 1,024 x 1.25 + 46 x 10) x 1,000 / 1,000,000 = 1.9725 USD, and the requests.
    """
    database, tokens = in_memory(), {"prompt": 93, "cached": 1_024, "completion": 46}
    with database.write() as connection:
        for kind, price in (("prompt", "2.50"), ("cached", "1.25"), ("completion", "10.00")):
            set_rate(connection, TENANT, card="price", item=f"serving.token:{kind}", unit="1m_tokens",
                     price=f"{price}USD", valid_from=NOON - 1, known_from=NOON - 1)  # fmt: skip
        told = [usage(1, number, operation="generate", tokens=tokens, status=200)[0] for number in range(1_000)]
        for start in range(0, 1_000, 7):
            post_usage(connection, "gateway", told[start : start + 7], start + 7)
        (row,) = report(connection, TENANT, "margin")["rows"]
    assert row["revenue_micro"] == 1_972_500 + 50_000
