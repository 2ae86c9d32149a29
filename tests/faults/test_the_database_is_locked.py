import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.conftest import endpoint_state
from tests.faults.test_a_gateway_dies import booked
from tests.running import Load, Platform, eventually

LOCKED_S = 3.0


def test_a_locked_database_fails_no_inference_and_nothing_hangs_or_is_lost(
    wine_platform: Platform, wine_rows: list[list[float]], tmp_path: Path
) -> None:
    controller, gateways = wine_platform.pid_of("controller"), wine_platform.folders("gateways")
    lock = sqlite3.connect(wine_platform.home / "gristmill.db", isolation_level=None)
    try:
        with Load(wine_platform, "wine", wine_rows) as load, ThreadPoolExecutor(1) as aside:
            eventually(lambda: len(load.answered) > 50, 20)
            lock.execute("BEGIN IMMEDIATE")
            count = len(load.answered)
            waiting = aside.submit(wine_platform.cli, "keys", "create", "late")
            time.sleep(LOCKED_S)
            assert not waiting.done()  # a change waits for the database, what is served does not
            assert len(load.answered) > count + 50
            lock.execute("ROLLBACK")
            assert waiting.result(30).returncode == 0
    finally:
        lock.close()
    assert (load.failures, load.broken) == ([], 0)
    assert (wine_platform.pid_of("controller"), wine_platform.folders("gateways")) == (controller, gateways)
    eventually(lambda: set(load.answered) <= set(booked(wine_platform, tmp_path)), 30, "answered requests are missing")
    assert wine_platform.json("books", "check")["problems"] == []
    assert endpoint_state(wine_platform, "wine") == "ready"
