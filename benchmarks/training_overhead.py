"""What training through Gristmill costs over the same loop in plain PyTorch: metrics, checkpoints, accelerate and all.

    python -m benchmarks.training_overhead [--rounds 5]

To reach (issue 2): at most 1.05 times, one core. The two are run in turn; the median of the rounds' ratios is told.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from gristmill.core.types import Resources
from gristmill.frameworks.protocol import Split, TrainJob
from gristmill.frameworks.torch.optimisers import build_optimiser
from gristmill.frameworks.torch.trainer import TorchTrainer, build_model
from gristmill.tasks.recipe import parse_recipe

RECIPES: dict[str, dict[str, Any]] = {
    "cnn": {"architecture": {"name": "cnn"}, "training": {"epochs": 8, "batch_size": 64}},
    "mlp": {"architecture": {"name": "mlp", "hidden": [128, 64]}, "training": {"epochs": 100, "batch_size": 64}},
}


class Silent:
    """A watcher that only listens."""

    def metric(self, step: int, epoch: float, values: Mapping[str, float], total_steps: int) -> None: ...

    def checkpointed(self, step: int) -> None: ...

    def cancelled(self) -> bool:
        return False


def make_job(recipe: dict[str, Any], folder: Path) -> TrainJob:
    found = load_digits()
    images = ((found.images / 16 - 0.3) / 0.37).astype(np.float32)[:, None]
    train, validation = (Split({"image": images[rows]}, found.target[rows])
                         for rows in (slice(0, 1500), slice(1500, None)))  # fmt: skip
    parsed = parse_recipe({"name": "bench", "task": "image-classification", "data": {"dataset": "digits"}} | recipe)
    return TrainJob(parsed, train, validation, 10, None, folder, 0, Resources(1.0), 1.0)


def plain(job: TrainJob) -> None:
    """The loop as one writes it by hand for data in memory, with the same optimiser; loss and accuracy each epoch."""
    training = job.recipe.training
    *_, model = build_model(job)
    update = build_optimiser(job.recipe.optimiser, model)
    x, y = torch.from_numpy(job.train.inputs["image"]), torch.from_numpy(job.train.targets)
    held_x, held_y = torch.from_numpy(job.validation.inputs["image"]), torch.from_numpy(job.validation.targets)
    for _ in range(training.epochs):
        model.train()
        total = 0.0
        for rows in torch.randperm(len(x)).split(training.batch_size):
            update.zero_grad()
            loss = F.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            update.step()
            total += loss.item() * len(rows)
        model.eval()
        with torch.inference_mode():
            output = model(held_x)
            _ = (
                total / len(x),
                float(F.cross_entropy(output, held_y)),
                float((output.argmax(1) == held_y).float().mean()),
            )


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(recipe: dict[str, Any], rounds: int) -> dict[str, float]:
    pairs = []
    for number in range(rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            job = make_job(recipe, Path(folder) / "checkpoints")
            ours = lambda: TorchTrainer().train(job, Silent(), Path(folder) / "weights")  # noqa: B023, E731
            bare = lambda: plain(job)  # noqa: B023, E731
            first, second = (ours, bare) if number % 2 else (bare, ours)
            times = {first: seconds(first), second: seconds(second)}
            pairs.append((times[ours], times[bare]))
    kept = pairs[1:]  # the first warms up
    return {
        "gristmill_cpu_s": round(statistics.median(ours for ours, _ in kept), 3),
        "plain_cpu_s": round(statistics.median(bare for _, bare in kept), 3),
        "ratio": round(statistics.median(ours / bare for ours, bare in kept), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(json.dumps({name: measure(recipe, rounds) for name, recipe in RECIPES.items()}, indent=1))


if __name__ == "__main__":
    main()
