"""Shared cost, write-downs, inheritance: parts sum to the whole, capitalised = amortised + written off + left."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.books import events
from gristmill.books.allocation import Spread, allocate
from gristmill.books.amortization import Method, economic_decay, straight_line
from gristmill.books.check import check
from gristmill.books.posting import post, reverse
from gristmill.books.rate_cards import set_rate
from gristmill.books.reports.report import report
from gristmill.books.usage import post_usage
from gristmill.core.errors import Conflict, Unprocessable
from gristmill.store.database import Database
from gristmill.store.tables import versions
from tests.books.histories import NOON, TENANT, balances, dataset, hours, in_memory, made, replica, run, usage

DAY_S = 86_400
VERSION = "assets:version:digits@1"


def books(*told: events.Event) -> Database:
    database = in_memory()
    with database.write() as connection:
        for event in told:
            post(connection, event)
    return database


def spread(pool: str = "team", **targets: int) -> events.Event:
    on = [{"on": f"model:{name}", "weight": weight} for name, weight in targets.items()]
    return events.cost_allocated(TENANT, f"spread_{targets}", pool, "proportional", None, on, NOON)


def team_hours(count: float = 1.0, rate: str = "100USD") -> events.Event:
    return hours("shared:team", count, "hours_team", rate)


def test_the_parts_of_shared_cost_sum_to_it_by_largest_remainder() -> None:
    found = balances(books(team_hours(rate="0.00001USD"), spread(rye=1, wheat=1, oats=1)))
    assert found["shared:team"] == 0
    assert [found[f"assets:model:{name}"] for name in ("rye", "wheat", "oats")] == [4, 3, 3]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_whatever_the_weights_nothing_is_lost(micro: int, weights: list[int]) -> None:
    targets = {f"m{number}": weight for number, weight in enumerate(weights)}
    bought = events.service_bought(TENANT, "bought", "search", micro, "USD", "shared:team", NOON)
    found = balances(books(bought, spread(**targets)))
    assert sum(found.get(f"assets:model:{name}", 0) for name in targets) == (micro if any(weights) else 0)
    assert found.get("undistributed:team", 0) == (0 if any(weights) else micro)


def test_without_weights_shared_cost_stays_visible_until_somebody_has_one() -> None:
    database = books(team_hours(), spread(rye=0))
    assert balances(database)["undistributed:team"] == 100_000_000
    with database.write() as connection:
        post(connection, spread(rye=3))
    found = balances(database)
    assert (found["undistributed:team"], found["assets:model:rye"]) == (0, 100_000_000)


def test_shared_cost_is_spread_by_what_each_one_used() -> None:
    database = books(run(), run("run_2", model="wheat"), run("run_3", model="wheat"), team_hours())
    with database.write() as connection:
        told = allocate(connection, TENANT, "team", Spread.metric, NOON, id_="a", metric="core_seconds")
    assert {target["on"]: target["weight"] for target in told.payload["targets"]} == {
        "model:digits": 7200 * 10**6, "model:wheat": 14_400 * 10**6,
    }  # fmt: skip
    assert balances(database)["assets:model:wheat"] == 66_666_667


def test_what_the_platform_granted_to_nobody_is_shared_cost_at_the_price_of_a_grant() -> None:
    database = books(run(), events.capacity_idle(TENANT, NOON, NOON + 600, 3600.0, 7200.0, 0.0))
    assert balances(database)["shared:platform"] == 40_000 + 10_000
    with database.read() as connection:
        of_platform, *_ = report(connection, TENANT, "idle")["rows"]
    assert (of_platform["owner"], of_platform["idle_micro"], of_platform["share"]) == ("platform", 50_000, None)
    with database.write() as connection:
        allocate(connection, TENANT, "platform", Spread.uniform, NOON, id_="a")
    assert balances(database)["assets:model:digits"] == 50_000


def test_costs_in_two_currencies_are_in_no_proportion() -> None:
    database = books(run(), hours("model:wheat", rate="10EUR"), team_hours())
    with database.write() as connection, pytest.raises(Unprocessable, match="in no proportion"):
        allocate(connection, TENANT, "team", Spread.proportional, NOON, id_="a")


def test_costs_that_can_be_exchanged_are_in_proportion_and_a_version_weighs_what_was_put_into_it() -> None:
    database = books(run(), made(1), hours("model:wheat", rate="10EUR"), team_hours())
    with database.write() as connection:
        set_rate(connection, TENANT, card="exchange", item="EUR", unit="EUR", price="1.08USD", valid_from=0.0,
                 known_from=0.0)  # fmt: skip
        for model in ("digits", "wheat"):
            row = {"tenant": TENANT, "model": model, "version": 1, "digest": "sha256:0", "task": "t", "manifest": {},
                   "metrics": {}, "state": "ready", "created_at": NOON}  # fmt: skip
            connection.execute(versions.insert().values(**row))
        on = ["model:wheat", "version:digits@1"]
        told = allocate(connection, TENANT, "team", Spread.proportional, NOON, id_="a", on=on)
    asset = 195_000  # an hour of a core and of a GiB, and a kWh
    assert [target["weight"] for target in told.payload["targets"]] == [21_600_000, asset]


def test_hours_that_were_spread_are_not_reversed_from_under_their_parts() -> None:
    database = books(team_hours(), spread(rye=1))
    with database.write() as connection:
        with pytest.raises(Conflict, match="less than it put into shared:team"):
            reverse(connection, TENANT, "hours_team", "a mistake", NOON)
        reverse(connection, TENANT, spread(rye=1).id, "a mistake", NOON)
        reverse(connection, TENANT, "hours_team", "a mistake", NOON)
        assert check(connection).problems == []
    assert set(balances(database).values()) == {0}


def chosen(method: Method, days: float | None = None, at: float = NOON) -> events.Event:
    return events.write_down_chosen(TENANT, "digits@1", str(method), at, days)


def due(days: float) -> events.Event:
    return events.write_down_due(TENANT, "digits@1", NOON + days * DAY_S)


def test_a_straight_line_writes_the_same_down_every_day_and_all_at_its_end() -> None:
    database = books(hours("model:digits", 1, rate="100USD"), made(run_id=None, datasets=()),
                     chosen(Method.straight_line, 10))  # fmt: skip
    written = []
    for day in (1, 2, 5, 10, 11):
        with database.write() as connection:
            post(connection, due(day))
        written.append(-balances(database)["amortised:version:digits@1"])
    assert written == [10_000_000, 20_000_000, 50_000_000, 100_000_000, 100_000_000]


def test_by_economic_decay_half_of_the_value_goes_in_each_half_life() -> None:
    database = books(hours("model:digits", 1, rate="80USD"), made(run_id=None, datasets=()),
                     chosen(Method.economic_decay, 7))  # fmt: skip
    left = []
    for day in (7, 14, 21):
        with database.write() as connection:
            post(connection, due(day))
        left.append(80_000_000 + balances(database)["amortised:version:digits@1"])
    assert left == [40_000_000, 20_000_000, 10_000_000]


def test_what_is_written_down_by_time_is_not_written_down_by_use_too() -> None:
    database = books(dataset(), made(run_id=None), chosen(Method.straight_line, 10))
    with database.write() as connection:
        post_usage(connection, "gateway", usage(20, status=200), 1)
    assert "amortised:version:digits@1" not in balances(database)
    with database.write() as connection:
        post(connection, chosen(Method.units_of_production, at=NOON + DAY_S))
        post_usage(connection, "gateway", usage(20, 20, status=200), 2)
    # a tenth by the line, then 20 of the 980 units that are still expected
    assert balances(database)["amortised:version:digits@1"] == -(12_000_000 + 108_000_000 * 20 // 980)


def test_a_version_that_retires_is_written_down_until_then_and_the_rest_is_written_off() -> None:
    database = books(dataset(), made(run_id=None), chosen(Method.straight_line, 10))
    with database.write() as connection:
        post(connection, events.version_retired(TENANT, "digits", 1, NOON + 4 * DAY_S))
        (row,) = report(connection, TENANT, "cost")["rows"]
    assert (row["amortised_micro"], row["written_off_micro"], row["unamortised_micro"]) == (48_000_000, 72_000_000, 0)


def test_a_choice_is_not_reversed_but_made_anew() -> None:
    database = books(dataset(), made(run_id=None), chosen(Method.straight_line, 10))
    with database.write() as connection, pytest.raises(Conflict, match="choose anew"):
        reverse(connection, TENANT, chosen(Method.straight_line, 10).id, "a mistake", NOON)


def test_a_child_takes_its_share_of_what_its_parent_cost_by_kind_of_input() -> None:
    database = books(dataset(), run(), made(), made(2, None, datasets=()))
    with database.write() as connection:
        post(connection, events.cost_inherited(TENANT, "digits@2", "digits@1", "0.25", NOON))
        parent, child = report(connection, TENANT, "cost")["rows"]
        assert check(connection).problems == []
    whole = 120_000_000 + 45_000 + 150_000
    assert (child["capitalised_micro"], parent["capitalised_micro"]) == (whole // 4, whole - whole // 4)
    assert (child["data_micro"], child["energy_micro"]) == (30_000_000, 37_500)


def test_a_parent_gives_no_more_than_it_has_left() -> None:
    database = books(dataset(), made(run_id=None, units=10), made(2, None, datasets=()))
    with database.write() as connection:
        post_usage(connection, "gateway", usage(9, status=200), 1)
        post(connection, events.cost_inherited(TENANT, "digits@2", "digits@1", "0.5", NOON))
        parent, child = report(connection, TENANT, "cost")["rows"]
    assert (child["capitalised_micro"], parent["unamortised_micro"]) == (12_000_000, 0)


def test_failed_runs_and_trials_are_part_of_a_version_when_they_are_told_to_be() -> None:
    failed, trial = run("run_2", state="failed"), run("run_3")
    told = events.version_made(TENANT, "digits", 1, "run_1", [], NOON, 1000)
    with_trial = events.Event(told.id, TENANT, told.kind, told.payload | {"trials": ["run_3"]}, NOON)
    database = books(run(), failed, trial, with_trial)
    assert balances(database)[VERSION] == 2 * 195_000
    with database.write() as connection:
        post(connection, events.experiment_capitalised(TENANT, "run_2", "digits@1", NOON))
        with pytest.raises(Unprocessable, match="no cost outside of versions"):
            post(connection, events.experiment_capitalised(TENANT, "run_2", "digits@1", NOON + 1))
    found = balances(database)
    assert (found[VERSION], found["expense:experiments"]) == (3 * 195_000, 0)
    with database.write() as connection, pytest.raises(Conflict, match="less than it put into expense:experiments"):
        reverse(connection, TENANT, failed.id, "a mistake", NOON)
    with database.write() as connection:  # what the failed run used afterwards follows it
        post(connection, run("run_2", 2))
    assert balances(database)[VERSION] == 4 * 195_000


def test_the_platforms_serving_is_no_part_of_an_asset() -> None:
    before = balances(books(dataset(), made(run_id=None)))[VERSION]
    assert balances(books(dataset(), made(run_id=None), replica()))[VERSION] == before


@settings(deadline=None)
@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**6), max_size=20), st.integers(1, 10**7))
def test_time_writes_down_everything_and_no_more(value: int, steps: list[int], end: int) -> None:
    left, now = value, 0
    for seconds in steps:
        amount = straight_line(left, now, now + seconds, end)
        assert 0 <= amount <= left
        left, now = left - amount, now + seconds
        assert left == 0 or now < end


@settings(deadline=None)
@given(st.integers(0, 10**15), st.integers(0, 10**8), st.integers(0, 10**8), st.integers(1, 10**8))
def test_decay_in_two_steps_is_decay_in_one_to_the_micro_unit(value: int, first: int, second: int, half: int) -> None:
    left = value - economic_decay(value, first, half)
    twice = left - economic_decay(left, second, half)
    once = value - economic_decay(value, first + second, half)
    assert 0 <= twice - once <= 1
    assert abs(once - value * 2 ** (-(first + second) / half)) <= max(1.0, value * 1e-9)
