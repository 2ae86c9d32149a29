"""Hard budgets under load: over two gateways that share no memory, and when one of them is killed."""

from __future__ import annotations

import http.client
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import with_wine
from tests.running import Load, Platform, eventually, platform

PRICE_MICRO = 100_000  # of a request


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory, wine_csv: Path) -> Iterator[Platform]:
    """Endpoint `wine` at 0.10 USD a request, behind two gateways that die between a reservation and its request."""
    folder = tmp_path_factory.mktemp("sold")
    environment = {"GRISTMILL_GATEWAYS": "2", "GRISTMILL_CRASH_AT": "budgets.after-reserve:1500"}
    with platform(folder / "home", environment) as running:
        with_wine(running, wine_csv, folder, versions=1)
        for item, price in {"request": "0.10USD", "prediction": "0USD"}.items():
            running.cli("books", "rates", "--card", "price", "--item", f"serving.{item}", "--unit", item,
                        "--price", price)  # fmt: skip
        yield running


def budget(running: Platform, place: str) -> dict[str, Any]:
    rows = running.client().books.report("budget")["rows"]
    return next(row for row in rows if row["budget"] == place)


def call(running: Platform, token: str, rows: list[list[float]]) -> tuple[int, bytes]:
    body = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": rows}]}
    connection = http.client.HTTPConnection("127.0.0.1", running.inference_port, timeout=30)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    connection.request("POST", "/v2/models/wine/infer", json.dumps(body), headers)
    response = connection.getresponse()
    return response.status, response.read()


def test_money_for_10_requests_serves_exactly_10_of_500_parallel_ones(
    sold: Platform, wine_rows: list[list[float]]
) -> None:
    key = sold.json("keys", "create", "spender", "--role", "consumer")
    place = f"key:{key['id']}"
    sold.set_hard_budget(place, "1USD")
    with ThreadPoolExecutor(100) as threads:
        answers = list(threads.map(lambda _: call(sold, key["token"], wine_rows[:1]), range(500)))
    assert Counter(status for status, _ in answers) == {200: 10, 402: 490}
    refusal = json.loads(next(body for status, body in answers if status == 402))
    assert f"The budget of {place} has less left than the 0.1 USD" in json.dumps(refusal)
    spent = eventually(
        lambda: (row := budget(sold, place))["used_micro"] == 10 * PRICE_MICRO and not row["leased_micro"] and row,
        30, "the use is not posted",
    )  # fmt: skip
    assert (spent["left_micro"], spent["leased_micro"], spent["unsettled_micro"]) == (0, 0, 0)
    sold.cli("books", "remove-budget", place)
    eventually(lambda: call(sold, key["token"], wine_rows[:1])[0] == 200, 30)
    sold.set_hard_budget(place, "1.30USD")
    again = [call(sold, key["token"], wine_rows[:1])[0] for _ in range(4)]
    assert (again[0], again[-1]) == (200, 402)


def test_while_the_database_is_locked_what_is_leased_is_spent_and_then_clients_are_told_to_come_again(
    sold: Platform, wine_rows: list[list[float]]
) -> None:
    sold.set_hard_budget("tenant", "10000USD")
    lock = sqlite3.connect(sold.home / "gristmill.db", isolation_level=None)
    try:
        with Load(sold, "wine", wine_rows[:1], clients=2) as load:
            eventually(lambda: len(load.answered) > 50, 20)
            lock.execute("BEGIN IMMEDIATE")
            eventually(lambda: load.failures, 20, "it spent more than it had leased")
            lock.execute("ROLLBACK")
            count = len(load.answered)
            eventually(lambda: len(load.answered) > count + 20, 20, "it did not recover")
    finally:
        lock.close()
        sold.cli("books", "remove-budget", "tenant")
    assert {failure[:3] for failure in load.failures} == {"503"}
    assert "not known while the controller does not answer" in load.failures[0]


def test_what_a_killed_gateway_had_open_is_unsettled_and_never_spent_again(
    sold: Platform, wine_rows: list[list[float]]
) -> None:
    sold.set_hard_budget("endpoint:wine", "500USD")
    with Load(sold, "wine", wine_rows[:1], clients=16) as load:
        eventually(lambda: len(load.answered) > 300, 20, "no answers")
        sold.kill("gateways/gw0")
        eventually(lambda: any(failure.startswith("402") for failure in load.failures), 60, "it never ends")
    assert load.broken > 0
    assert {failure[:3] for failure in load.failures} <= {"402", "503"}
    settled = eventually(
        lambda: (row := budget(sold, "endpoint:wine"))["unsettled_micro"] and not row["leased_micro"] and row, 60
    )
    assert settled["used_micro"] + settled["unsettled_micro"] + settled["left_micro"] == 500 * 10**6
    assert 0 <= settled["left_micro"] < 2 * PRICE_MICRO
    assert settled["used_micro"] >= len(load.answered) * PRICE_MICRO
    assert sold.json("books", "check")["problems"] == []
