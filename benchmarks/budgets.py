"""What a hard budget costs a request: the same load without one and with one, `python -m benchmarks.budgets`.

A real platform with one gateway and one replica, wine's MLP, 32 connections of wrk; rounds alternate, medians are told.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks._load import wrk
from benchmarks.recovery import wine_table
from sklearn.datasets import load_wine
from tests.conftest import with_wine
from tests.running import Platform, platform

ROUNDS, SECONDS, CONNECTIONS = 3, 6, 32


def requests_per_s(running: Platform, seconds: int = SECONDS) -> float:
    row = [float(value) for value in load_wine().data[0]]
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, len(row)], "data": row}
    headers = {"authorization": f"Bearer {running.key}", "content-type": "application/json"}
    body = json.dumps({"inputs": [tensor]}).encode()
    load = wrk(f"{running.inference_url}/v2/models/wine/infer", body, headers, CONNECTIONS, seconds)
    if load.failed:
        raise SystemExit(f"{load.failed} requests failed.")
    return load.requests_per_s


def main() -> None:
    without, within = [], []
    with tempfile.TemporaryDirectory() as name, platform(Path(name) / "home") as running:
        with_wine(running, wine_table(Path(name)), Path(name), versions=1)
        for _ in range(ROUNDS):
            without.append(requests_per_s(running))
            running.set_hard_budget("endpoint:wine", "1000000USD")
            within.append(requests_per_s(running))
            running.cli("books", "remove-budget", "endpoint:wine")
    free, bound = statistics.median(without), statistics.median(within)
    sys.stdout.write(f"requests/s: {free:,.0f} without a budget, {bound:,.0f} within one: {bound / free:.2f} x\n")


if __name__ == "__main__":
    main()
