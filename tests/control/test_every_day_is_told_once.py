from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.books import events
from gristmill.books.check import check
from gristmill.books.posting import deliver
from gristmill.books.records import sums
from gristmill.control.daily import DAY_S, Daily
from gristmill.control.idle_capacity import IdleCapacity, free
from gristmill.control.platform import Platform
from gristmill.control.storage import Owned, kept
from gristmill.core.settings import Settings
from gristmill.core.types import Resources
from gristmill.store.outbox import pending
from tests.control.rig import BY, add_version

MONDAY = 20_000 * DAY_S


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = float(MONDAY + 3600)

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def mill(tmp_path: Path, clock: Hands) -> Platform:
    platform = Platform(Settings(home=str(tmp_path / "home"), cores=2, inference_port=0, grpc_port=0), clock)
    platform.prepare()
    add_version(platform, tmp_path / "bundle", "A card.")
    return platform


def told(platform: Platform, kind: str) -> list[dict[str, Any]]:
    with platform.database.read() as connection:
        return [item.payload for item in pending(connection, 1000) if item.kind == kind]


def test_a_day_is_told_when_it_has_ended_and_once(mill: Platform, clock: Hands) -> None:
    Daily(mill).step()
    assert told(mill, "storage.used") == []
    clock.at += DAY_S
    for _ in range(3):
        Daily(mill).step()
    (day,) = told(mill, "storage.used")
    assert (day["from"], day["to"], day["basis"]) == (MONDAY, MONDAY + DAY_S, "measured")
    (size,) = day["owners"].values()
    with mill.database.write() as connection:
        for item in pending(connection, 1000):
            assert deliver(connection, events.Event(item.event, item.tenant, item.kind, item.payload, item.happened_at))
        (row,) = sums(connection, BY.tenant, ("currency",), accounts=("stored:version:wine@1",))
        assert row["quantity"] == pytest.approx(size / 1e9 / 730 * 24)
        assert check(connection).problems == []


def test_days_in_which_nobody_was_up_are_told_afterwards_as_assumed(mill: Platform, clock: Hands) -> None:
    Daily(mill).step()
    clock.at += 3 * DAY_S
    Daily(mill).step()
    assert [day["basis"] for day in told(mill, "storage.used")] == ["assumed", "assumed", "measured"]


def test_a_version_that_is_written_down_by_time_is_due_every_day(mill: Platform, clock: Hands) -> None:
    Daily(mill).step()
    with mill.database.write() as connection:
        deliver(connection, events.hours_declared(BY.tenant, "h", "miller", 1, "version:wine@1", clock.at, "100USD"))
        deliver(connection, events.write_down_chosen(BY.tenant, "wine@1", "straight-line", MONDAY, 10.0))
    clock.at += DAY_S
    Daily(mill).step()
    assert told(mill, "write-down.due") == [{"version": "wine@1"}]
    with mill.database.write() as connection:
        for item in pending(connection, 1000):
            deliver(connection, events.Event(item.event, item.tenant, item.kind, item.payload, item.happened_at))
        (row,) = sums(connection, BY.tenant, ("currency",), accounts=("amortised:version:wine@1",))
        assert row["micro"] == -10_000_000


def test_what_is_granted_to_nobody_is_told_as_idle_capacity(mill: Platform, clock: Hands) -> None:
    idle = IdleCapacity(mill)
    for _ in range(61):
        idle.step()
        clock.at += 10
    (told_,) = told(mill, "capacity.idle")
    assert (told_["from"], told_["to"], told_["core_s"]) == (MONDAY + 3600, MONDAY + 4200, 2 * 600.0)


def test_no_less_than_nothing_is_free() -> None:
    total = Resources(2.0, 2**31, 0)
    assert free(total, Resources(0.5, 2**30, 0)) == (1.5, 1.0, 0.0)
    assert free(total, Resources(3.0, 2**32, 0)) == (0.0, 0.0, 0.0)


def test_a_blob_that_two_own_is_paid_by_both_for_the_time_they_had_it() -> None:
    shared = [Owned("sha256:a", 1000, "mill", "dataset:rye@1", 0.0),
              Owned("sha256:a", 1000, "baker", "dataset:rye@4", MONDAY + DAY_S / 2)]  # fmt: skip
    assert kept(shared, MONDAY, MONDAY + DAY_S) == {"mill": {"dataset:rye@1": 667}, "baker": {"dataset:rye@4": 333}}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.floats(-DAY_S, DAY_S * 2)), max_size=20))
def test_what_is_stored_is_paid_once_however_it_is_shared(rows: list[tuple[int, int, float]]) -> None:
    blobs = [Owned(f"sha256:{digest}", 999, f"t{tenant}", f"dataset:{at}", MONDAY + at) for digest, tenant, at in rows]
    parts = kept(blobs, MONDAY, MONDAY + DAY_S)
    assert sum(size for owners in parts.values() for size in owners.values()) <= 999 * len({row[0] for row in rows})
    assert all(size >= 0 for owners in parts.values() for size in owners.values())
