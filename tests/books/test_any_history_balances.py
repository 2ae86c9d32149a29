"""Whatever happens, in whatever order, with retries and reversals: the books balance, and a replay gives them again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.books import events as told
from gristmill.books import records
from gristmill.books.amortization import Method, write_down
from gristmill.books.check import check
from gristmill.books.events import Event
from gristmill.books.posting import post, reverse
from gristmill.books.rate_cards import set_rate
from gristmill.books.replay import replay
from gristmill.books.reports.report import REPORTS, report
from gristmill.books.rerate import rerate
from gristmill.books.usage import post_usage
from gristmill.core.errors import Conflict, Unprocessable
from gristmill.core.types import Basis, Measure, Resources, ResourceUse
from gristmill.store.database import Database
from gristmill.store.tables import metadata
from tests.books.histories import NOON, TENANT, in_memory, usage
from tests.books.random_history import Company, identities

small = st.integers(1, 3)
seconds = st.floats(0, 1e5, allow_nan=False)
energy = st.none() | st.floats(0, 1e9)
run_ids = small.map(lambda number: f"run_{number}")
versions = small.map(lambda number: f"digits@{number}")

runs = st.builds(
    lambda run, attempt, state, kind, cores, wall, cpu, joules: told.run_used(
        TENANT, run, kind, "digits", attempt, state, NOON, Resources(cores, 2**30),
        ResourceUse(wall, cpu, 2**29, Measure(joules, "J", Basis.modelled, "model")),
    ),
    run_ids, small, st.sampled_from(["running", "succeeded", "failed", "cancelled"]),
    st.sampled_from(["train", "evaluate"]), st.floats(0, 8), seconds, seconds, energy,
)  # fmt: skip
datasets = st.builds(
    lambda name, cost, currency: told.dataset_added(
        TENANT, name, 1, NOON, rows=7, size=9, cost_micro=cost, currency=currency
    ),
    st.sampled_from(["rye", "wheat"]), st.none() | st.integers(0, 10**10), st.sampled_from(["USD", "EUR"]),
)  # fmt: skip
made = st.builds(
    lambda version, run, data, units: told.version_made(TENANT, "digits", version, run, data, NOON, units),
    small, st.none() | run_ids, st.lists(st.sampled_from(["rye@1", "wheat@1"]), max_size=2),
    st.none() | st.integers(1, 99),
)  # fmt: skip
estimates = st.builds(lambda v, n: told.units_estimated(TENANT, "digits", v, n, NOON), small, st.integers(1, 500))
retired = st.builds(lambda version: told.version_retired(TENANT, "digits", version, NOON), small)
replicas = st.builds(
    lambda index, model, cpu, busy: told.replica_used(
        TENANT, "r", index, "numbers", model, NOON, NOON + 60, Resources(), cpu, busy, 5,
        Measure(cpu, "J", Basis.modelled, "model"),
    ),
    st.integers(0, 5), versions, st.floats(0, 200), st.floats(0, 90),
)  # fmt: skip
places = st.sampled_from(["run:run_1", "run:run_2", "model:digits", "version:digits@1", "dataset:rye@1", "shared:team"])
people = st.builds(
    lambda id_, on, hours: told.hours_declared(TENANT, f"hours_{id_}", "miller", hours, on, NOON),
    st.integers(0, 5), places, st.floats(0, 100),
)  # fmt: skip
currencies = st.sampled_from(["USD", "EUR", "GBP"])
services = st.builds(
    lambda id_, cost, currency, on, calls: told.service_bought(
        TENANT, f"service_{id_}", "search", cost, currency, on, NOON, calls
    ),
    st.integers(0, 5), st.integers(0, 10**9), currencies, places, st.none() | st.floats(0, 1e6),
)  # fmt: skip
labels = st.builds(
    lambda id_, amount, currency, by_row: told.data_paid(
        TENANT, f"data_{id_}", "rye@1", "labelled", 7, f"{amount}e-6{currency}", NOON, by_row
    ),
    st.integers(0, 3), st.integers(0, 10**7), currencies, st.booleans(),
)  # fmt: skip
stored = st.builds(
    lambda day, size, owner: told.storage_used(TENANT, NOON + day * 86_400, NOON + (day + 1) * 86_400, {owner: size}),
    small, st.integers(0, 10**12), st.sampled_from(["dataset:rye@1", "version:digits@1"]),
)  # fmt: skip
allocated = st.builds(
    lambda id_, weights: told.cost_allocated(
        TENANT, f"allocated_{id_}", "team", "proportional", None,
        [{"on": on, "weight": weight} for on, weight in weights.items()], NOON,
    ),
    small, st.dictionaries(places.filter(lambda on: on != "shared:team"), st.integers(0, 9)),
)  # fmt: skip
inherited = st.builds(
    lambda child, parent, share: told.cost_inherited(TENANT, child, parent, str(share), NOON),
    versions, versions, st.decimals("0.01", "1", places=3),
)  # fmt: skip
capitalised = st.builds(lambda run, to: told.experiment_capitalised(TENANT, run, to, NOON), run_ids, versions)
moments = st.integers(0, 40 * 86_400).map(lambda after: NOON + after)
chosen = st.builds(
    lambda version, method, days, at: told.write_down_chosen(TENANT, version, method, at, days),
    versions, st.sampled_from(list(Method)), st.floats(0.01, 60), moments,
)  # fmt: skip
due = st.builds(lambda version, at: told.write_down_due(TENANT, version, at), versions, moments)
posted = (
    runs | datasets | made | estimates | retired | replicas | people | services | labels | stored | allocated
    | inherited | capitalised | chosen | due
)  # fmt: skip
served = st.tuples(st.integers(0, 300), st.integers(1, 40), st.integers(0, 9), versions, st.sampled_from(["k1", "k2"]))
reversals = st.integers(0, 50)
RATED = (
    ("cost", "compute.cpu", "core_hour", "USD"), ("cost", "compute.memory", "gib_hour", "EUR"),
    ("cost", "people.hours:miller", "person_hour", "GBP"), ("cost", "storage.blobs", "gb_month", "EUR"),
    ("price", "serving.prediction", "1k_predictions", "USD"), ("price", "serving.token:prompt", "1k_tokens", "EUR"),
    ("exchange", "EUR", "EUR", "USD"), ("exchange", "GBP", "GBP", "USD"),
)  # fmt: skip
prices = st.tuples(st.sampled_from(RATED), st.integers(1, 10**10))
history = st.lists(
    st.tuples(st.just("post"), posted)
    | st.tuples(st.just("usage"), served)
    | st.tuples(st.just("reverse"), reversals)
    | st.tuples(st.just("rate"), prices)
    | st.tuples(st.just("rerate"), st.booleans()),
    max_size=40,
)


def happen(database: Database, kind: str, what: Any, at: int) -> None:
    with database.write() as connection:
        if kind == "usage":
            first, count, items, model, key = what
            requests = usage(count, first, items=items, model=model, key=key, tokens={"prompt": items} if items else {})
            post_usage(connection, "gateway", requests, at, NOON + at)
        elif kind == "rate":
            (card, item, unit, currency), price = what
            set_rate(connection, TENANT, card=card, item=item, unit=unit, price=f"{price}e-9{currency}",
                     valid_from=NOON - 100 + at, known_from=NOON + at)  # fmt: skip
        elif kind == "rerate":
            rerate(connection, TENANT, 0.0, NOON + at, dry_run=what)
        elif kind == "reverse":
            known = records.recorded_order(connection)
            if known:
                try_(lambda: reverse(connection, TENANT, known[what % len(known)], "why not", NOON, NOON + at))
        else:
            event: Event = what
            try_(lambda: post(connection, event, NOON + at))
            try_(lambda: post(connection, event, NOON + at))


def try_(step: Any) -> None:
    try:
        step()
    except (Conflict, Unprocessable):
        pass


def books(database: Database) -> list[Any]:
    by = ("account", "item", "currency", "rate", "version", "run")
    with database.read() as connection:
        rows = records.sums(connection, TENANT, by)
    return [{**row, "quantity": round(row["quantity"], 6)} for row in rows]


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Database, Database]]:
    """Emptied for each history: statements are compiled once for each database, and not for each history."""
    database, again = in_memory(), in_memory()
    yield database, again
    database.close()
    again.close()


def emptied(database: Database) -> Database:
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    return database


@settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history)
def test_any_history_balances_and_its_replay_is_the_same(
    two: tuple[Database, Database], steps: list[tuple[str, Any]]
) -> None:
    database, again = map(emptied, two)
    for at, (kind, what) in enumerate(steps):
        happen(database, kind, what, at)
    with database.read() as connection:
        assert check(connection).problems == []
        for name in REPORTS:
            report(connection, TENANT, name)
        for row in report(connection, TENANT, "cost")["rows"]:
            whole = row["amortised_micro"] + row["unamortised_micro"] + row["written_off_micro"]
            assert whole == row["capitalised_micro"]
            kinds = ("compute", "energy", "data", "people", "storage", "services")
            assert sum(row[f"{kind}_micro"] for kind in kinds) == whole
        with again.write() as target:
            replay(connection, target)
    assert books(again) == books(database)


def test_a_long_history_of_everything_balances_and_its_replay_is_the_same() -> None:
    """600 steps; `python -m benchmarks.ledger` takes 10,000."""
    database, again = in_memory(), in_memory()
    company = Company(seed=7)
    with database.write() as connection:
        for _ in range(600):
            company.step(connection)
        assert check(connection).problems == []
        assert list(identities(connection)) == []
        with again.write() as target:
            replay(connection, target)
    assert min(company.counts[act] for act in ("event", "usage", "retry", "reversal", "rate", "rerating")) > 0
    assert books(again) == books(database)


@given(st.integers(0, 10**15), st.lists(st.integers(0, 1000), max_size=30), st.integers(1, 10_000))
def test_units_of_production_write_down_everything_and_no_more(value: int, uses: list[int], expected: int) -> None:
    left, served = value, 0
    for units in uses:
        amount = write_down(left, units, expected, served)
        assert 0 <= amount <= left
        left, served = left - amount, served + units
        assert left == 0 or served < expected
