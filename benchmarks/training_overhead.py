"""What training through Gristmill costs over the framework's own plain loop: metrics, checkpoints, cancelling and all.

    python -m benchmarks.training_overhead [--rounds 5] [--framework keras]

To reach (issues 2 and 3): at most 1.05 times, one core. Each framework runs in a process of its own; there the two are
run in turn, and the median of the rounds' ratios is told.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks._plain_loops import LOOPS
from sklearn.datasets import load_digits

from gristmill.core import plugins
from gristmill.core.types import Resources
from gristmill.frameworks.protocol import Split, TrainJob
from gristmill.tasks.recipe import parse_recipe

CNN = {"architecture": {"name": "cnn"}, "training": {"epochs": 8, "batch_size": 64}}
MLP = {"architecture": {"name": "mlp", "hidden": [128, 64]}, "training": {"epochs": 100, "batch_size": 64}}
VIT = {
    "architecture": {"name": "vit", "patch": 2, "width": 32, "layers": 2},
    "training": {"epochs": 8, "batch_size": 64},
}
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "torch": {"cnn": CNN, "mlp": MLP},
    "keras": {"cnn": CNN, "mlp": MLP},
    "tensorflow": {"cnn": CNN, "mlp": MLP},
    "transformers": {"vit": VIT},
}


class Silent:
    """A watcher that only listens."""

    def metric(self, step: int, epoch: float, values: Mapping[str, float], total_steps: int) -> None: ...

    def checkpointed(self, step: int) -> None: ...

    def cancelled(self) -> bool:
        return False


def make_job(framework: str, recipe: dict[str, Any], folder: Path) -> TrainJob:
    found = load_digits()
    images = ((found.images / 16 - 0.3) / 0.37).astype(np.float32)[:, None]
    train, validation = (Split({"image": images[rows]}, found.target[rows])
                         for rows in (slice(0, 1500), slice(1500, None)))  # fmt: skip
    described = {"name": "bench", "task": "image-classification", "data": {"dataset": "digits"}, "framework": framework}
    return TrainJob(parse_recipe(described | recipe), train, validation, 10, None, folder, 0, Resources(1.0), 1.0)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(framework: str, recipe: dict[str, Any], rounds: int) -> dict[str, float]:
    pairs = []
    for number in range(rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            job = make_job(framework, recipe, Path(folder) / "checkpoints")
            trainer = plugins.load("trainers", framework)()
            ours = lambda: trainer.train(job, Silent(), Path(folder) / "weights")  # noqa: B023, E731
            bare = lambda: LOOPS[framework](job)  # noqa: B023, E731
            first, second = (ours, bare) if number % 2 or not number else (bare, ours)
            times = {first: seconds(first), second: seconds(second)}
            pairs.append((times[ours], times[bare]))
    kept = pairs[1:]  # the first warms up
    return {
        "gristmill_cpu_s": round(statistics.median(ours for ours, _ in kept), 3),
        "plain_cpu_s": round(statistics.median(bare for _, bare in kept), 3),
        "ratio": round(statistics.median(ours / bare for ours, bare in kept), 3),
    }


def one(framework: str, rounds: int) -> dict[str, dict[str, float]]:
    if framework in ("torch", "transformers"):
        import torch

        torch.set_num_threads(1)
    return {name: measure(framework, recipe, rounds) for name, recipe in RECIPES[framework].items()}


def alone(framework: str, rounds: int) -> dict[str, dict[str, float]]:
    """In a process of its own, with one thread."""
    command = [sys.executable, "-m", "benchmarks.training_overhead", "--framework", framework, "--rounds", str(rounds)]
    told = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True).stdout
    found: dict[str, dict[str, float]] = json.loads(told)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--framework", choices=RECIPES)
    asked = parser.parse_args()
    if asked.framework:
        print(json.dumps(one(asked.framework, asked.rounds), indent=1))
    else:
        print(json.dumps({framework: alone(framework, asked.rounds) for framework in RECIPES}, indent=1))


if __name__ == "__main__":
    main()
