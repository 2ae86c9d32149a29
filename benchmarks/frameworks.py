"""One model in each framework: what its runtime takes for a call, alone in its process, on one core.

    python -m benchmarks.frameworks [--rounds 3]

To reach (issue 3): at least 0.8 times the calls a second of the torch runtime, for the MLP and the CNN of
benchmarks/serving. Frameworks are run in turn; the least of the rounds' medians is told.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from gristmill.core import plugins
from gristmill.core.types import Resources, Signature
from gristmill.frameworks.importing import Exporter
from gristmill.frameworks.protocol import Runtime, Split, Trainer, TrainJob
from gristmill.tasks.recipe import parse_recipe

FRAMEWORKS = ("torch", "keras", "tensorflow", "onnx")
_TRAINED_IN = {"onnx": "torch"}  # and exported
MODELS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "mlp": ({"task": "tabular-classification", "architecture": {"name": "mlp", "hidden": [64, 64]}}, (30,)),
    "cnn": ({"task": "image-classification", "architecture": {"name": "cnn"}}, (1, 28, 28)),
}
ROWS = (1, 8, 64)
_SECONDS = 0.4  # a batch size is called for


class Silent:
    """A watcher that only listens."""

    def metric(self, step: int, epoch: float, values: Mapping[str, float], total_steps: int) -> None: ...

    def checkpointed(self, step: int) -> None: ...

    def cancelled(self) -> bool:
        return False


class Made(NamedTuple):
    """What a trainer left in a bundle's folder: enough for the runtime to open it."""

    task: str
    architecture: dict[str, Any]
    runtime: str


def make(framework: str, model: str, bundle: Path, name: str = "input") -> Made:
    """Writes weights of one epoch on noise into `bundle`; `name` is the model input's."""
    recipe, row = MODELS[model]
    chance = np.random.default_rng(0)
    split = Split({name: chance.normal(size=(128, *row)).astype(np.float32)}, chance.integers(0, 3, 128))
    made_in = _TRAINED_IN.get(framework, framework)
    parsed = parse_recipe({"name": "bench", "data": {"dataset": "noise"}, "framework": made_in,
                           "training": {"epochs": 1}} | recipe)  # fmt: skip
    job = TrainJob(parsed, split, split, 3, None, bundle / "checkpoints", 0, Resources(1.0), 1e9)
    trainer: Trainer = plugins.load("trainers", made_in)()
    trained = trainer.train(job, Silent(), bundle / "weights")
    shutil.rmtree(bundle / "checkpoints", ignore_errors=True)
    made = Made(parsed.task, trained.architecture, trained.runtime if framework == made_in else framework)
    if framework != made_in:
        exporter: Exporter = plugins.load("exporters", f"{made_in}-{framework}")()
        exporter.export(bundle, described(made), {name: split.inputs[name][:2]}, bundle / "weights")
    return made


def described(made: Made) -> Any:
    """As much of a manifest as a runtime reads."""
    signature = Signature(made.task, (), ())
    return SimpleNamespace(task=made.task, architecture=made.architecture, signature=signature)


def load(made: Made, bundle: Path) -> Runtime:
    runtime: type[Runtime] = plugins.load("runtimes", made.runtime)
    return runtime.load(bundle, described(made), Resources(1.0))


def calls(runtime: Runtime, row: tuple[int, ...]) -> Iterator[tuple[int, float]]:
    """(rows, median microseconds of a call)."""
    for rows in ROWS:
        inputs = {"input": np.random.default_rng(1).normal(size=(rows, *row)).astype(np.float32)}
        for _ in range(20):
            runtime.infer(inputs)
        times, end = [], time.perf_counter() + _SECONDS
        while time.perf_counter() < end:
            began = time.perf_counter()
            runtime.infer(inputs)
            times.append(time.perf_counter() - began)
        yield rows, statistics.median(times) * 1e6


def one(framework: str) -> dict[str, float]:
    found = {}
    for model, (_, row) in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            runtime = load(make(framework, model, Path(folder)), Path(folder))
            found |= {f"{model} {rows}": microseconds for rows, microseconds in calls(runtime, row)}
    return found


def measure(rounds: int) -> dict[str, dict[str, Any]]:
    told: dict[str, list[dict[str, float]]] = {framework: [] for framework in FRAMEWORKS}
    for _ in range(rounds):
        for framework in FRAMEWORKS:
            command = [sys.executable, "-m", "benchmarks.frameworks", "--only", framework]
            told[framework].append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    best = {framework: {case: min(one[case] for one in runs) for case in runs[0]} for framework, runs in told.items()}
    return {
        case: {f"{framework}_us": round(best[framework][case], 1) for framework in FRAMEWORKS}
        | {f"{framework}_rate": round(best["torch"][case] / best[framework][case], 2) for framework in FRAMEWORKS[1:]}
        for case in best["torch"]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=FRAMEWORKS)
    arguments = parser.parse_args()
    print(json.dumps(one(arguments.only) if arguments.only else measure(arguments.rounds), indent=1))


if __name__ == "__main__":
    main()
