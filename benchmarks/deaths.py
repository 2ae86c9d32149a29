"""kill -9 of gateway, shipper and controller at every fault point that they pass, with 200 requests in flight.

python -m benchmarks.deaths [POINT ...]   (four minutes for all)

To reach (issue 5): the books are exact each time: no answered request is missing in them, and none stands there twice.
One platform with two gateways and a hard budget. For each point it is started with that point armed, so that a process
dies whenever it has passed it some times, called, killed a gateway, changed in size, and started again with the point
disarmed: what was answered is then held against the books.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from benchmarks.recovery import wine_table
from sklearn.datasets import load_wine
from tests.conftest import with_wine
from tests.running import Load, Platform, eventually

from gristmill.core.errors import GristmillError
from gristmill.core.processes import living

POINTS = {
    "budgets.after-reserve": 400, "journal.before-append": 40, "journal.after-append": 40, "leases.before-grant": 3,
    "leases.after-grant": 3, "leases.before-settled": 1, "shipper.before-events": 1, "shipper.before-usage": 2,
    "shipper.before-prune": 2, "books.in-mid-event": 2, "books.before-usage-rows": 2, "books.before-usage-cursor": 2,
    "controller.before-act": 1, "controller.after-act": 1, "endpoints.before-change": 1, "endpoints.after-change": 1,
}  # fmt: skip
PROCESSES = ("controller", "gateways/gw0", "gateways/gw1")
CLIENTS, SECONDS = 200, 6.0


def processes(running: Platform) -> dict[str, set[int]]:
    found = {name: living(running.home / name) for name in PROCESSES}
    return {name: {process.pid} if process is not None else set() for name, process in found.items()}


def _follow(running: Platform, seen: dict[str, set[int]], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, pids in processes(running).items():
            seen[name] |= pids
        time.sleep(0.05)


def booked(running: Platform, folder: Path) -> Counter[str]:
    file = folder / "usage.csv"
    running.cli("books", "export", "--table", "usage", "--format", "csv", "--output", str(file))
    with file.open(newline="") as opened:
        return Counter(row["id"] for row in csv.DictReader(opened))


def deaths_under_load(running: Platform, point: str, rows: list[list[float]]) -> tuple[list[str], int]:
    """Ids of what was answered while the point was armed, and how often a process died."""
    running.environment |= {"GRISTMILL_CRASH_AT": f"{point}:{POINTS[point]}"}
    running.cli("up", check=False)
    with Load(running, "wine", rows, clients=CLIENTS) as load:
        with suppress(AssertionError):  # where the first thing that is done kills, nobody may ever be answered
            eventually(lambda: load.answered, 30)
        seen, died = processes(running), -1  # the one that is killed here
        for replicas in (1, 2):
            _follow(running, seen, SECONDS / 2)
            with suppress(GristmillError):  # a controller that dies of it does not answer
                running.client().endpoints.scale("wine", replicas)
            if replicas == 1:
                with suppress(AssertionError, ProcessLookupError):  # it is dying already
                    running.kill("gateways/gw0")
        _follow(running, seen, SECONDS / 2)
        died += sum(len(pids) - 1 for pids in seen.values())
    running.environment.pop("GRISTMILL_CRASH_AT")
    running.down()
    return load.answered, died


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("points", nargs="*", metavar="POINT", choices=[*POINTS, []], help="only these points")
    points = parser.parse_args().points or list(POINTS)
    rows = [[float(value) for value in row] for row in load_wine().data[:1]]
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        running = Platform(folder / "home", {"GRISTMILL_GATEWAYS": "2"})
        try:
            running.up()
            with_wine(running, wine_table(folder), folder, versions=1)
            running.set_hard_budget("endpoint:wine", "1000000USD")
            running.down()
            for point in points:
                answered, died = deaths_under_load(running, point, rows)
                running.up()
                eventually(lambda: not running.client().platform.status()["journal"]["pending_events"], 60)
                eventually(lambda ids=set(answered): ids <= booked(running, folder).keys(), 60, "requests are missing")
                ids = booked(running, folder)
                twice = sum(count - 1 for count in ids.values())
                missing = len(set(answered) - ids.keys())
                problems = running.client().books.check()["problems"]
                failed += bool(twice or missing or problems or died < 1)
                told = f"{point}: {died} deaths, {len(answered):,} answered, {missing} missing, {twice} twice"
                sys.stdout.write(f"{told}, {len(problems)} problems\n")
                sys.stdout.flush()
                running.down()
        finally:
            running.down()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
