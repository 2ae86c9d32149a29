import os
import sys
import threading
from typing import Any

import pytest

from gristmill.control import shipper
from gristmill.control.controller import Controller
from gristmill.control.pace import rest_s
from gristmill.control.platform import Platform
from gristmill.core.waiting import Times, thread_times
from gristmill.store.journal import Journal
from tests.control.rig import StandInEngine
from tests.control.test_the_books_hear_everything_once import record, usage_records
from tests.running import eventually


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux alone")
def test_its_thread_is_nicer_than_those_that_answer(platform: Platform) -> None:
    here = Controller(platform, StandInEngine())._shipper
    here.start()
    try:
        thread = next(one for one in threading.enumerate() if one.name == "shipper")
        eventually(lambda: os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) == 10, 5)
        assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == 0
    finally:
        here.stop()


def test_where_a_core_is_free_nobody_rests() -> None:
    assert rest_s(Times(ran=1.0, waited=0.0), cores=0.2) == 0.0
    assert rest_s(Times(ran=1.0, waited=0.1), cores=0.2) == 0.0


def test_where_every_core_is_wanted_a_share_of_one_is_taken_however_long_was_waited() -> None:
    for waited in (1.0, 2.0):
        rest = rest_s(Times(ran=1.0, waited=waited), cores=0.2)
        assert 1.0 / (1.0 + waited + rest) == pytest.approx(0.2)
    assert rest_s(Times(ran=1.0, waited=9.0), cores=0.2) == 0.0, "it has given way enough already"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts how long a thread waits for a core")
def test_a_thread_knows_how_long_it_ran() -> None:
    before = thread_times()
    sum(range(2_000_000))
    assert thread_times().ran > before.ran


def test_a_gateway_that_has_much_waiting_holds_up_no_other(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    for gateway, numbers in (("gw0", range(100)), ("gw1", range(100, 115))):
        Journal(platform.settings.journal / gateway, 1 << 20).append([record(number) for number in numbers])
    posted: list[str] = []
    real = shipper.post_usage

    def post_usage(connection: Any, source: str, *arguments: Any) -> int:
        posted.append(source)
        return real(connection, source, *arguments)

    monkeypatch.setattr(shipper, "post_usage", post_usage)
    monkeypatch.setattr(shipper, "_RECORDS", 10)
    Controller(platform, StandInEngine())._shipper.ship()
    assert posted[:5] == ["gw0", "gw1", "gw0", "gw1", "gw0"], "each in turn"
    assert usage_records(platform) == 115
