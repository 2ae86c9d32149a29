"""How long `gristmill --help` takes, from a cold process: `python -m benchmarks.command_line`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 20


def seconds(command: list[str]) -> list[float]:
    """Wall time of `RUNS` processes; one goes before to warm the file cache."""
    taken = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return taken[1:]


def main() -> None:
    program = str(Path(sys.executable).with_name("gristmill"))
    for command in ([program, "--help"], [program, "books", "--help"], [sys.executable, "-c", "pass"]):
        taken = seconds(command)
        name = " ".join([Path(command[0]).name, *command[1:]])
        median, slowest = statistics.median(taken) * 1000, max(taken) * 1000
        sys.stdout.write(f"{name:<24} median {median:4.0f} ms   slowest of {RUNS} {slowest:4.0f} ms\n")


if __name__ == "__main__":
    main()
