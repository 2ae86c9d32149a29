from pathlib import Path

from gristmill.books.check import check
from gristmill.control import records
from gristmill.control.controller import Controller
from gristmill.control.platform import Platform
from gristmill.control.replica_periods import Periods
from gristmill.control.shipper import Shipper
from gristmill.core.supervision import Pong
from gristmill.core.types import Basis, Measure, ResourceUse, UsageRecord
from gristmill.store.journal import Journal
from gristmill.store.outbox import enqueue
from tests.control.rig import BY, StandInEngine, outbox


def record(number: int) -> UsageRecord:
    return UsageRecord(f"req{number}", BY.tenant, "key", "wine", "wine@1", "sha256:0", "infer", 200, 1e9 + number, 1, 5,
                       9, 10, 10)  # fmt: skip


def shipper_of(platform: Platform) -> Shipper:
    return Controller(platform, StandInEngine())._shipper


def usage_records(platform: Platform) -> int:
    with platform.database.read() as connection:
        found = check(connection).to_dict()
    assert found["problems"] == []
    return int(found["usage_records"])


def test_every_record_of_every_gateway_is_posted_once_however_often_it_is_shipped(platform: Platform) -> None:
    for gateway in ("gw0", "gw1"):
        journal = Journal(platform.settings.journal / gateway, 1 << 16)
        journal.append([record(number) for number in range(50)])  # the same ids from both: they count once
        journal.append([record(number) for number in range(1000, 1000 + 50 * int(gateway[-1]))])
    shipper = shipper_of(platform)
    for _ in range(3):
        shipper.ship()
    assert usage_records(platform) == 100
    shipper_of(platform).ship()  # a new controller's shipper goes on at the stored position
    assert usage_records(platform) == 100


def test_a_killed_gateways_segments_are_read_to_their_end_and_then_removed(platform: Platform) -> None:
    folder: Path = platform.settings.journal / "gw0"
    for start in (0, 10, 20):
        Journal(folder, 1 << 16).append([record(number) for number in range(start, start + 10)])
    shipper = shipper_of(platform)
    shipper.ship()
    shipper.ship()
    assert usage_records(platform) == 30
    assert len(list(folder.glob("*.journal"))) == 1, "only the segment that may still be written is kept"


def test_an_event_that_the_books_refuse_holds_up_no_other(platform: Platform) -> None:
    with platform.database.write() as connection:
        enqueue(connection, "event_bad", BY.tenant, "run.used", {"nonsense": True}, 1.0)
        enqueue(connection, "event_worse", BY.tenant, "no.such.kind", {}, 1.0)
    Journal(platform.settings.journal / "gw0", 1 << 16).append([record(1)])
    shipper_of(platform)._safely()
    with platform.database.read() as connection:
        assert check(connection).to_dict()["usage_records"] == 1
    assert outbox(platform, "run.used") == []


def test_a_replica_that_restarts_as_its_period_is_full_is_told_once(platform: Platform) -> None:
    """Both stand in the same look at everything, which has the replica as it was before."""
    now = platform.clock.now()
    row = {"id": "rep_1", "tenant": BY.tenant, "endpoint": "wine", "model": "wine@1", "digest": "sha256:0",
           "state": "ready", "resources": {"cores": 1.0}, "restarts": 0, "created_at": now - 120,
           "ready_at": now - 100, "ended_at": None, "booked": {}, "error": None}  # fmt: skip
    pong = Pong("ready", 0.0, 5, 2.0, ResourceUse(100.0, 3.0, 10**6, Measure(21.0, "J", Basis.modelled, "TDP model")))
    with platform.database.write() as connection:
        records.add_replica(connection, row)
        stale = records.live_replicas(connection)
    periods, shipper = Periods(platform), shipper_of(platform)
    periods.close(stale[0], pong)
    shipper.ship()
    periods.step(stale, {"rep_1": pong})
    shipper.ship()
    with platform.database.read() as connection:
        found = check(connection).to_dict()
    assert (found["events"], found["conflicts"], found["problems"]) == (1, 0, [])
