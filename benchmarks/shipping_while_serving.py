"""What shipping usage into the books costs the requests that are served meanwhile.

    python -m benchmarks.shipping_while_serving [--rounds 3]

A real platform with one gateway and one replica, wine's MLP, 32 connections of wrk on the same two cores; each round is
served with the controller, whose thread ships, stopped (SIGSTOP), then while it ships what that left waiting and what
comes, then with nothing waiting before. The CPU time of each process a request tells the same on a machine that others
use, too. To reach (issue 5): 0.95 x the requests/s without.
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
from pathlib import Path

from benchmarks.budgets import SECONDS, requests_per_s
from benchmarks.recovery import wine_table
from tests.conftest import with_wine
from tests.running import Platform, eventually, platform


def shipped(running: Platform) -> int:
    with running.client() as client:
        return int(client.platform.status()["journal"].get("shipped_records", 0))


def drained(running: Platform) -> bool:
    """Whether nothing came into the books for a second."""
    before = shipped(running)
    time.sleep(1.0)
    return shipped(running) == before


def cpu_s(running: Platform) -> dict[str, float]:
    """CPU seconds so far of gateway, worker and controller."""
    found: dict[str, float] = defaultdict(float)
    for process in running.processes():
        said = " ".join(process.cmdline())
        for name in ("serving.gateway", "serving.worker", "app controller"):
            if name in said:
                times = process.cpu_times()
                found[name.split(".")[-1].split()[-1]] += times.user + times.system
    return dict(found)


def measured(running: Platform, rounds: int) -> dict[str, float]:
    """Medians of requests/s; records/s that were shipped while they were served."""
    found: dict[str, list[float]] = defaultdict(list)
    controller = running.pid_of("controller")
    for _ in range(rounds):
        os.kill(controller, signal.SIGSTOP)
        try:
            found["stopped"].append(requests_per_s(running))
        finally:
            os.kill(controller, signal.SIGCONT)
        for name in ("shipping what waited", "shipping what comes"):
            before, begun, used = shipped(running), time.monotonic(), cpu_s(running)
            found[name].append(requests_per_s(running))
            answered = found[name][-1] * SECONDS
            for process, seconds in cpu_s(running).items():
                found[f"CPU us a request, {name}, {process}"].append((seconds - used[process]) / answered * 1e6)
            found[f"records/s, {name}"].append((shipped(running) - before) / (time.monotonic() - begun))
            begun = time.monotonic()
            eventually(lambda: drained(running), 120)
            found[f"s until nothing waits, {name}"].append(time.monotonic() - begun)
    medians = {name: round(statistics.median(values), 1) for name, values in found.items()}
    without = medians["stopped"]
    return medians | {f"x, {name}": round(medians[name] / without, 3) for name in medians if name.startswith("ship")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, platform(Path(name) / "home") as running:
        with_wine(running, wine_table(Path(name)), Path(name), versions=1)
        requests_per_s(running)  # warm
        eventually(lambda: drained(running), 60)
        print(json.dumps(measured(running, rounds), indent=2))


if __name__ == "__main__":
    main()
