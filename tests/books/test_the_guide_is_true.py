"""The worked example of docs/books.md: each of its figures, from the events that it tells of."""

from __future__ import annotations

import re
from pathlib import Path

from gristmill.books import events
from gristmill.books.check import check
from gristmill.books.posting import post
from gristmill.books.rate_cards import set_rate
from gristmill.books.reports.report import report
from gristmill.books.usage import post_usage
from gristmill.core.money import format_micro
from gristmill.core.types import Resources
from tests.books.histories import JOULES, NOON, TENANT, hours, in_memory, made, run, usage

_GUIDE = Path(__file__).parents[2] / "docs" / "books.md"
_DAY_S = 86_400
SHARES = [{"on": "model:digits", "weight": 1}, {"on": "model:wheat", "weight": 1}]
HISTORY = (
    events.dataset_added(TENANT, "digits", 1, NOON, rows=1000, size=1, cost_micro=100_000_000, currency="EUR"),
    events.data_paid(TENANT, "labels", "digits@1", "labelled", 1000, "0.012USD", NOON, by_row=True),
    events.storage_used(TENANT, NOON, NOON + _DAY_S, {"dataset:digits@1": 10 * 10**9}),
    run(attempt=1, state="running"),
    run(attempt=2),
    hours("model:digits", 2.0),
    hours("shared:team", 1.0, "hours_2", rate="100USD"),
    events.cost_allocated(TENANT, "spread", "team", "uniform", None, SHARES, NOON),
    events.service_bought(TENANT, "labels-api", "vision-api", 12_000_000, "USD", "run:run_1", NOON, 400),
    made(),
)
SERVED = events.replica_used(TENANT, "replica_1", 0, "numbers", "digits@1", NOON, NOON + 60, Resources(2.0, 2**30),
                             20.0, 15.0, 90, JOULES)  # fmt: skip
CHILD = (made(2, None, datasets=()), events.cost_inherited(TENANT, "digits@2", "digits@1", "0.25", NOON))


def test_each_figure_of_the_guides_example_is_what_the_books_say() -> None:
    with (database := in_memory()).write() as connection:
        set_rate(connection, TENANT, card="exchange", item="EUR", unit="EUR", price="1.08USD", valid_from=0.0,
                 known_from=0.0)  # fmt: skip
        for event in HISTORY:
            post(connection, event, NOON)
        post_usage(connection, "gateway", usage(100), 1, NOON)
        for event in (SERVED, *CHILD):
            post(connection, event, NOON)
        assert check(connection).problems == []
    with database.read() as connection:
        rows = report(connection, TENANT, "cost")["rows"]
        (unit,) = report(connection, TENANT, "unit-cost")["rows"]
    told = re.findall(r"^\| (\w+) \| ([\d.,]+) \| ([\d.,]+) \|", _GUIDE.read_text(), re.MULTILINE)
    assert len(told) == 11
    for name, first, second in told:
        found = [format_micro(row[f"{name}_micro"]) for row in rows]
        assert found == [first.replace(",", ""), second.replace(",", "")], name
    for name in ("marginal_per_request", "loaded_per_request"):
        assert unit[name] in _GUIDE.read_text()
