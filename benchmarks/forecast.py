"""The forecast: a fit and its bootstraps on the clock, planted laws found again, digits foretold from a quarter.

    python -m benchmarks.forecast [--trials 200] [--without-digits]

To reach (issue 5): 240 points with 162 starts within 5 s, 400 bootstraps within 10 s; each parameter of a planted law
(noise 1 %) in its 95 % interval in 93 % of 200 trials; the error at all rows of digits within the 90 % interval of the
forecast from runs on at most 25 % of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from tests.running import eventually, platform

from gristmill.books.forecast import learning_curve
from gristmill.books.forecast.scaling import Law, fit
from gristmill.client.sync import Client

POINTS, BOOTSTRAPS, NOISE = 240, 400, 0.01
# Besiroglu et al. (2024), table 1
TRUTH = Law(("N", "D"), 1.8172, (482.01, 2085.43), (0.3478, 0.3658))
SHARES, SEEDS = (0.03, 0.05, 0.08, 0.12, 0.17, 0.25), (0, 1)
RECIPE: dict[str, Any] = {
    "name": "digits", "task": "image-classification", "architecture": {"name": "mlp", "hidden": [64, 64]},
    "optimiser": {"learning_rate": 0.003},
}  # fmt: skip


def planted(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = np.exp(random.uniform(np.log([5e7, 3e8]), np.log([1.6e10, 3e11]), (POINTS, 2)))
    return x, TRUTH.at(x) * np.exp(NOISE * random.standard_normal(POINTS))


def speed() -> None:
    x, loss = planted(0)
    start = time.perf_counter()
    fit(TRUTH.inputs, x, loss, bootstraps=0)
    middle = time.perf_counter()
    fit(TRUTH.inputs, x, loss, bootstraps=BOOTSTRAPS)
    both = time.perf_counter() - middle
    tell(f"{POINTS} points, 162 starts: {middle - start:.2f} s; {BOOTSTRAPS} bootstraps: {both - middle + start:.2f} s")


def recovery(trials: int) -> None:
    inside = np.zeros(5)
    for trial in range(trials):
        low, high = fit(TRUTH.inputs, *planted(trial), bootstraps=BOOTSTRAPS, seed=trial).interval()
        inside += (low <= TRUTH.vector) & (TRUTH.vector <= high)
    shares = ", ".join(f"{name} {part:.1%}" for name, part in zip("E A α B β".split(), inside / trials, strict=True))
    tell(f"planted parameters in their 95 % intervals, {trials} trials: {shares}")


def digits() -> None:
    """Runs on at most a quarter of the rows foretell the error of runs on all of them."""
    with tempfile.TemporaryDirectory() as folder, platform(Path(folder) / "home") as running:
        source = Path(folder) / "digits.npz"
        data = load_digits()
        np.savez(source, image=np.round(data.images / 16 * 255).astype(np.uint8)[..., None], label=data.target)
        with running.client() as client:
            client.datasets.add(source, name="digits", task="image-classification", target="label", cost="120USD")
            small = trained(client, [(share, seed) for share in SHARES for seed in SEEDS])
            full = trained(client, [(1.0, seed) for seed in SEEDS])
    rows = np.asarray([one["train/rows"] for one in small])
    errors = np.asarray([1 - one["test/accuracy"] for one in small])
    found = learning_curve.forecast(rows, errors, full[0]["train/rows"], full[0]["tested/rows"])
    true = float(np.mean([1 - one["test/accuracy"] for one in full]))
    inside = "inside" if found.low <= true <= found.high else "OUTSIDE"
    tell(f"digits at {found.at:.0f} rows from at most {rows.max():.0f}: error {found.value:.4f} "
         f"[{found.low:.4f}, {found.high:.4f}], measured {true:.4f}: {inside}")  # fmt: skip


def trained(client: Client, wanted: list[tuple[float, int]]) -> list[dict[str, float]]:
    """The metrics of runs on these shares of the rows with these seeds."""
    runs = []
    for share, seed in wanted:
        training = {"epochs": 15, "batch_size": 16, "seed": seed}
        recipe = RECIPE | {"data": {"dataset": "digits", "fraction": share}, "training": training}
        runs.append(client.runs.train(recipe)["id"])
    return [
        eventually(lambda run=run: _metrics(client, run), within_s=300, message=f"{run} did not succeed", every_s=0.5)
        for run in runs
    ]


def _metrics(client: Client, run: str) -> dict[str, float] | None:
    found = client.runs.get(run)
    return found["metrics"] if found["state"] == "succeeded" else None


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--without-digits", action="store_true")
    options = parser.parse_args()
    speed()
    recovery(options.trials)
    if not options.without_digits:
        digits()
    return 0


if __name__ == "__main__":
    sys.exit(main())
