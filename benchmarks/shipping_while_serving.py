"""What shipping usage into the books costs the requests that are served meanwhile.

    python -m benchmarks.shipping_while_serving [--rounds 8]

A real platform with one gateway and one replica, wine's MLP, 32 connections of wrk on the same two cores. In turns of
three seconds they are served with the controller, whose thread ships, stopped (SIGSTOP), and with it: first while it
ships what comes, with nothing waiting before; then while it catches up the journal of a gateway that is no more, with
more records than it can ship. Told are medians, and those of the ratios of neighbouring turns: a machine's speed
changes by more than what is looked for. CPU times tell the same where others use the machine, too. To reach (issue 5):
0.95 x the requests/s without.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from benchmarks.budgets import requests_per_s
from benchmarks.recovery import wine_table
from benchmarks.shipping import records
from tests.conftest import with_wine
from tests.running import Platform, eventually, platform

from gristmill.core.ids import new_id
from gristmill.store.journal import Journal

SECONDS, WAITING, PART = 3, 900_000, 1_000  # of a turn; records of the gateway that is no more, in parts


def shipped(running: Platform) -> int:
    with running.client() as client:
        return int(client.platform.status()["journal"].get("shipped_records", 0))


def drained(running: Platform) -> bool:
    """Whether nothing came into the books for a second."""
    before = shipped(running)
    time.sleep(1.0)
    return shipped(running) == before


def shipper_s(running: Platform) -> float:
    """CPU seconds so far of the controller's thread that ships: the one with a niceness."""
    spent = 0.0
    for thread in Path(f"/proc/{running.pid_of('controller')}/task").iterdir():
        if int((thread / "stat").read_text().rpartition(")")[2].split()[16]) > 0:
            spent += int((thread / "schedstat").read_text().split()[0]) / 1e9
    return spent


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def leave_waiting(running: Platform) -> None:
    """A journal of a gateway that is no more."""
    journal = Journal(running.home / "journal" / "gw9", 64 * 2**20)
    one = msgspec.structs.replace(
        records(1)[0], tenant="default", endpoint="wine", model="wine@1", happened_at=time.time()
    )
    for _ in range(WAITING // PART):
        journal.append([msgspec.structs.replace(one, id=new_id("req")) for _ in range(PART)])
    journal.close()


def turns(running: Platform, name: str, found: dict[str, list[float]], *, drain: bool) -> None:
    """One without shipping, one with it."""
    with stopped(running.pid_of("controller")):
        without = requests_per_s(running, SECONDS)
    if drain:
        eventually(lambda: drained(running), 120)
    before, begun, used = shipped(running), time.monotonic(), shipper_s(running)
    served = requests_per_s(running, SECONDS)
    took, records_ = time.monotonic() - begun, shipped(running) - before
    spent = shipper_s(running) - used
    told = {"requests/s without": without, "requests/s": served, "x": served / without, "records/s": records_ / took,
            "cores of the shipper": spent / took, "CPU us a record": spent / max(records_, 1) * 1e6}  # fmt: skip
    for what, value in told.items():
        found[f"{what}, {name}"].append(value)


def measured(running: Platform, rounds: int) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        turns(running, "shipping what comes", found, drain=True)
    eventually(lambda: drained(running), 120)
    leave_waiting(running)
    for _ in range(rounds):
        turns(running, "shipping what waited", found, drain=False)
    return {name: round(statistics.median(values), 3) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, platform(Path(name) / "home") as running:
        with_wine(running, wine_table(Path(name)), Path(name), versions=1)
        requests_per_s(running, SECONDS)  # warm
        eventually(lambda: drained(running), 60)
        print(json.dumps(measured(running, rounds), indent=2))


if __name__ == "__main__":
    main()
