"""How soon a killed replica is back, under load on a real platform: `python -m benchmarks.recovery [--rounds 5]`.

To reach (issue 2): at most 5 seconds, and no idempotent request fails meanwhile.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sklearn.datasets import load_wine
from tests.conftest import with_wine
from tests.running import Load, Platform, eventually, platform


def ready_again(running: Platform, folder: str, old_pid: int) -> bool:
    replicas = running.client().endpoints.get("wine")["replicas"]
    replica = next(replica for replica in replicas if folder.endswith(replica["id"]))
    return replica["state"] == "ready" and folder in running.folders("replicas") and running.pid_of(folder) != old_pid


def seconds_to_recover(running: Platform, folder: str) -> float:
    killed = running.kill(folder)
    began = time.perf_counter()
    eventually(lambda: ready_again(running, folder, killed), 60)
    return time.perf_counter() - began


def wine_table(folder: Path) -> Path:
    wine = load_wine()
    path = folder / "wine.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*wine.feature_names, "target"])
        writer.writerows([*row, wine.target_names[target]] for row, target in zip(wine.data, wine.target, strict=True))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, platform(Path(name) / "home") as running:
        folder = Path(name)
        with_wine(running, wine_table(folder), folder, versions=1)
        rows = [[float(value) for value in row] for row in load_wine().data[:3]]
        with Load(running, "wine", rows) as load:
            replicas = running.folders("replicas")
            taken = [seconds_to_recover(running, replicas[number % len(replicas)]) for number in range(rounds)]
        sys.stdout.write(
            f"killed replica ready again: median {statistics.median(taken):.1f} s, slowest of {rounds} "
            f"{max(taken):.1f} s; {len(load.answered):,} requests answered, {len(load.failures)} failed\n"
        )


if __name__ == "__main__":
    main()
