"""What went in stands on the right accounts, to the micro-unit."""

from __future__ import annotations

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from gristmill.books.check import check
from gristmill.books.entries import entries
from gristmill.books.events import Event, version_retired
from gristmill.books.posting import post
from gristmill.core.types import Basis, Measure, Resources
from gristmill.store.database import Database
from tests.books.histories import (
    NO_COUNTER,
    TENANT,
    balances,
    dataset,
    hours,
    in_memory,
    made,
    replica,
    run,
    use,
)

CORE_HOUR, GIB_HOUR, KWH, HOUR = 40_000, 5_000, 150_000, 80_000_000  # the default cost card, in micro-units


def posted(*events: object, into: Database | None = None) -> Database:
    database = into or in_memory()
    with database.write() as connection:
        for event in events:
            assert post(connection, event)
        assert check(connection).problems == []
    return database


def test_a_run_costs_what_it_was_granted_and_idle_stands_apart() -> None:
    found = balances(posted(run()))
    assert found["inputs:compute"] == -(2 * CORE_HOUR + 2 * GIB_HOUR)
    assert found["idle:run:run_1"] == CORE_HOUR + GIB_HOUR
    assert found["inputs:energy"] == -KWH
    assert found["assets:run:run_1"] == CORE_HOUR + GIB_HOUR + KWH


def test_a_run_that_used_more_than_its_grant_pays_for_what_it_used() -> None:
    found = balances(posted(run(resources=Resources(1.0, 2**30), used=use(cpu_s=7200.0))))
    assert found["inputs:compute"] == -(2 * CORE_HOUR + GIB_HOUR)
    assert "idle:run:run_1" not in found


def test_a_version_takes_its_runs_attempts_its_data_and_its_hours() -> None:
    found = balances(posted(dataset(), run(attempt=1, state="running"), hours("run:run_1"), run(attempt=2), made()))
    asset = 2 * (CORE_HOUR + GIB_HOUR + KWH) + 2 * HOUR + 120_000_000
    assert found["assets:version:digits@1"] == asset
    assert found["assets:run:run_1"] == found["assets:dataset:digits@1"] == 0


def test_runs_that_made_nothing_are_experiments_with_all_their_attempts() -> None:
    found = balances(posted(run(attempt=1, state="running"), run(attempt=2, state="failed")))
    assert found["expense:experiments"] == 2 * (CORE_HOUR + GIB_HOUR + KWH)
    assert found["assets:run:run_1"] == 0


def test_a_run_that_failed_and_was_resumed_is_no_experiment_after_all() -> None:
    found = balances(posted(run(attempt=1, state="failed"), run(attempt=2), made(datasets=())))
    assert found["expense:experiments"] == found["assets:run:run_1"] == 0
    assert found["assets:version:digits@1"] == 2 * (CORE_HOUR + GIB_HOUR + KWH)


def test_an_evaluation_is_an_expense_and_no_asset() -> None:
    found = balances(posted(run(kind="evaluate")))
    assert found["expense:evaluations"] == CORE_HOUR + GIB_HOUR + KWH


def test_work_that_comes_after_its_version_still_goes_into_it() -> None:
    found = balances(posted(run(), made(datasets=()), run(attempt=2), hours("run:run_1")))
    assert found["assets:version:digits@1"] == 2 * (CORE_HOUR + GIB_HOUR + KWH) + 2 * HOUR


def test_hours_on_a_model_wait_for_its_next_version() -> None:
    database = posted(hours("model:digits"))
    assert balances(database)["assets:model:digits"] == 2 * HOUR
    found = balances(posted(made(run_id=None, datasets=()), into=database))
    assert (found["assets:model:digits"], found["assets:version:digits@1"]) == (0, 2 * HOUR)


def test_hours_have_the_price_that_was_said() -> None:
    assert balances(posted(hours("model:digits", 1.5, rate="100.000001EUR")))["assets:model:digits"] == 150_000_002


def test_a_dataset_is_shared_equally_by_the_versions_made_from_it() -> None:
    database = posted(dataset(cost_micro=100), made(1, None))
    posted(made(2, None), into=database)
    found = balances(posted(made(3, None), into=database))
    assert [found[f"assets:version:digits@{number}"] for number in (1, 2, 3)] == [34, 33, 33]


def test_what_is_written_off_is_not_shared_again() -> None:
    database = posted(dataset(cost_micro=100), made(1, None), version_retired(TENANT, "digits", 1, 2e9))
    found = balances(posted(made(2, None), into=database))
    assert (found["assets:version:digits@1"], found.get("assets:version:digits@2", 0)) == (100, 0)
    assert found["expense:written-off"] == 100


def test_a_busy_replica_is_the_cost_of_serving_and_the_rest_is_idle() -> None:
    """15 of 60 s busy on 2 cores: 30 core-seconds, more than the 20 of CPU time."""
    found = balances(posted(replica()))
    assert found["inputs:compute"] == -(round(120 / 3600 * CORE_HOUR) + round(60 / 3600 * GIB_HOUR))
    assert found["served:digits@1"] == round(30 / 3600 * CORE_HOUR) + round(15 / 3600 * GIB_HOUR) + KWH
    assert sum(found[name] for name in ("served:digits@1", "idle:endpoint:numbers")) == -(
        found["inputs:compute"] + found["inputs:energy"]
    )


def test_an_absent_counter_is_unknown_and_never_zero() -> None:
    database = posted(run(used=use(energy=NO_COUNTER)))
    with database.read() as connection:
        energy = [row for row in entries(connection, TENANT) if row["item"] == "energy.electricity"]
    assert len(energy) == 2
    assert all(row["quantity"] is None and row["unpriced"] for row in energy)


def test_a_dataset_without_a_cost_is_unpriced_and_not_free() -> None:
    database = posted(dataset(cost_micro=None, currency=None), made(1, None), made(2, None))
    with database.read() as connection:
        lines = [row for row in entries(connection, TENANT) if row["account"].startswith("assets:version")]
    assert [(row["version"], row["unpriced"]) for row in lines] == [("digits@2", True), ("digits@1", True)]


@pytest.mark.parametrize(("cores", "cpu_s"), [(1.0, 0.1), (0.3, 1 / 3), (3.0, 10**7), (1e-9, 0.0), (0.0, 0.0)])
def test_used_and_idle_always_sum_to_the_input(cores: float, cpu_s: float) -> None:
    found = balances(posted(run(resources=Resources(cores, 123_456_789), used=use(cpu_s=cpu_s, wall_s=0.7))))
    assert sum(found.values()) == 0


def test_costs_below_a_micro_unit_add_up_over_many_stretches() -> None:
    """A hundred times 0.36 J at 0.15 USD a kWh: 0.015 micro-units each, 1.5 together."""
    joules = Measure(0.36, "J", Basis.modelled, "TDP model")
    events = [replace_energy(replica(index), joules) for index in range(100)]
    found = balances(posted(*events))
    assert found["inputs:energy"] == -2


def replace_energy(event: Event, energy: Measure) -> Event:
    return replace(event, payload=event.payload | {"energy": to_builtins(energy)})
