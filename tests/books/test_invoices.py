"""An invoice's lines are the postings of its month, and its pages show them."""

from __future__ import annotations

import pytest

from gristmill.books import records
from gristmill.books.invoice import invoice, payable
from gristmill.books.invoice_pages import as_html, as_pdf
from gristmill.books.posting import post, reverse
from gristmill.books.rate_cards import set_rate
from gristmill.books.usage import post_usage
from gristmill.core.errors import Unprocessable
from gristmill.store.database import Database
from tests.books.histories import NOON, TENANT, dataset, in_memory, made, replica, run, usage

MONTH, NEXT = "2023-11", "2023-12"  # of `histories.NOON`


@pytest.fixture
def mill() -> Database:
    """Two keys, two months, two rates, two currencies."""
    database = in_memory()
    with database.write() as connection:
        for event in (dataset(), run(), made(1), replica()):
            post(connection, event)
        post_usage(connection, "gateway", usage(100) + usage(33, 100, key="k2"), 1)
        set_rate(connection, TENANT, card="price", item="serving.request", unit="1k_requests", price="0.0777EUR",
                 valid_from=NOON + 86_400, known_from=NOON)  # fmt: skip
        post_usage(connection, "gateway", usage(50, 200, happened_at=NOON + 30 * 86_400), 2)
    return database


def owed(database: Database) -> dict[str, int]:
    with database.read() as connection:
        rows = records.sums(connection, TENANT, ("currency",), accounts=("receivable:",))
    return {row["currency"]: row["micro"] for row in rows if row["micro"]}


def test_all_months_together_are_what_the_keys_owe(mill: Database) -> None:
    totals: dict[str, int] = {}
    with mill.read() as connection:
        for month in (MONTH, NEXT):
            made_out = invoice(connection, TENANT, month)
            by_line: dict[str, int] = {}
            for line in made_out["lines"]:
                by_line[line["currency"]] = by_line.get(line["currency"], 0) + line["amount_micro"]
            assert {total["currency"]: total["total_micro"] for total in made_out["totals"]} == by_line
            for currency, micro in by_line.items():
                totals[currency] = totals.get(currency, 0) + micro
    assert {currency: micro for currency, micro in totals.items() if micro} == owed(mill)


def test_each_line_says_its_price_and_the_rate_that_made_it(mill: Database) -> None:
    with mill.read() as connection:
        lines = invoice(connection, TENANT, NEXT)["lines"]
    (requests,) = [line for line in lines if line["item"] == "serving.request"]
    assert requests["quantity"] == 45  # one in ten is refused
    assert requests["price"] == "0.0777 EUR/1k_requests"
    assert requests["amount_micro"] == 3496  # 45 / 1000 × 0.0777 EUR, half to even
    assert requests["rate"]


def test_what_is_reversed_is_no_longer_charged(mill: Database) -> None:
    with mill.write() as connection:
        posted = records.events_of_kind(connection, "usage.posted")
        events = [row["id"] for row in posted if row["happened_at"] < NOON + 86_400]
        for event in events:
            reverse(connection, TENANT, event, "a test", NOON)
        assert invoice(connection, TENANT, MONTH)["lines"] == []


@pytest.mark.parametrize(
    ("micro", "currency", "shown"),
    [(5_000, "USD", "0.00"), (15_000, "USD", "0.02"), (25_000, "EUR", "0.02"), (-15_000, "EUR", "-0.02"),
     (1_234_567_890, "USD", "1234.57"), (1_234_500_000, "JPY", "1234"), (1_234_567_890, "KWD", "1234.568")],
)  # fmt: skip
def test_what_is_payable_is_rounded_once_half_to_even(micro: int, currency: str, shown: str) -> None:
    assert payable(micro, currency) == shown


def test_a_page_and_a_print_show_it(mill: Database) -> None:
    with mill.read() as connection:
        document = invoice(connection, TENANT, NEXT)
    document["lines"][0]["endpoint"] = "<script>"
    page = as_html(document).decode()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert document["number"] in page
    assert "0.0777 EUR/1k_requests" in page
    assert as_pdf(document).startswith(b"%PDF-")


def test_a_print_has_every_letter_or_says_which_it_lacks(mill: Database) -> None:
    with mill.read() as connection:
        document = invoice(connection, TENANT, NEXT)
    document["tenant"] = "Мельница Łódź, 5 €"
    assert as_pdf(document).startswith(b"%PDF-")
    document["tenant"] = "磨坊"
    assert "磨坊" in as_html(document).decode()
    with pytest.raises(Unprocessable, match="no '坊', '磨': write the invoice as"):
        as_pdf(document)


def test_what_is_no_month_is_refused(mill: Database) -> None:
    with mill.read() as connection, pytest.raises(Unprocessable, match="2026-13"):
        invoice(connection, TENANT, "2026-13")
