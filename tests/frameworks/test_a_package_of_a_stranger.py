"""A package outside the tree brings a task, an architecture, a framework and an explainer, as CONTRIBUTING.md says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gristmill.core.types import RunState
from tests.lab.rig import Rig, result

PACKAGE = '''
from pathlib import Path

import numpy as np
from torch import nn

from gristmill.explanation.protocol import Attribution
from gristmill.frameworks.protocol import Trained
from gristmill.tasks.tabular_classification import TabularClassification


class Sorting(TabularClassification):
    """A task of its own."""

    name = "grain-sorting"


def wide(shapes, width=8):
    return nn.Sequential(nn.Linear(shapes.values, width), nn.GELU(), nn.Linear(width, shapes.outputs))


ARCHITECTURES = {"wide": wide}


class LeastSquares:
    """A framework of its own: a linear map by least squares, kept as an .npy file."""

    def train(self, job, watcher, weights):
        (x,), y = job.train.inputs.values(), np.eye(job.classes)[job.train.targets]
        solved = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0].astype(np.float32)
        weights.mkdir(parents=True, exist_ok=True)
        np.save(weights / "map.npy", solved)
        return Trained({"name": "least-squares"}, "least-squares", solved.size, {}, 1)


class Map:
    def __init__(self, solved):
        self.solved = solved

    @classmethod
    def load(cls, bundle, manifest, resources):
        return cls(np.load(bundle / "weights" / "map.npy", allow_pickle=False))

    def infer(self, inputs):
        (x,) = inputs.values()
        return (np.c_[x, np.ones(len(x), np.float32)] @ self.solved).astype(np.float32)

    def close(self):
        pass


class Distance:
    """An explainer of its own: how far each feature is from nothing."""

    def explain(self, subject, inputs, target, options):
        (x,) = subject.preprocessing.apply(inputs).values()
        scores = subject.predict(subject.preprocessing.apply(inputs))
        names = tuple(map(str, range(x.shape[1])))
        return [Attribution("distance", int(s.argmax()), float(s.max()), abs(row), names, None)
                for row, s in zip(x, scores)]
'''
ENTRY_POINTS = """
[gristmill.tasks]
grain-sorting = grain:Sorting
[gristmill.architectures]
torch.grain-sorting = grain:ARCHITECTURES
torch.tabular-classification.grain = grain:ARCHITECTURES
[gristmill.trainers]
least-squares = grain:LeastSquares
[gristmill.runtimes]
least-squares = grain:Map
[gristmill.explainers]
distance = grain:Distance
"""
SERVED = """
import json, sys
from pathlib import Path
import numpy as np
from gristmill.bundles.digests import verify
from gristmill.core import plugins
from gristmill.core.types import Resources
from gristmill.lab.loading import open_version

bundle = Path(sys.argv[1])
version = open_version("grain", bundle, verify(bundle), Resources())
row = {"features": np.full((1, 13), 2.0, np.float32)}
print(json.dumps({"sum": float(version.outputs(row)["probabilities"].sum()),
                  "explainers": plugins.names("explainers")}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that finds the package."""
    site = tmp_path_factory.mktemp("site")
    (site / "grain.py").write_text(PACKAGE)
    (site / "grain-1.0.dist-info").mkdir()
    (site / "grain-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: grain\nVersion: 1.0\n")
    (site / "grain-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    return os.environ | {"PYTHONPATH": str(site)}


@pytest.mark.parametrize(
    ("task", "framework", "architecture", "runtime"),
    [
        ("grain-sorting", "torch", {"name": "wide", "width": 16}, "torch"),
        ("tabular-classification", "torch", {"name": "wide"}, "torch"),
        ("grain-sorting", "least-squares", {"name": "least-squares"}, "least-squares"),
    ],
)
def test_its_parts_train_and_serve(
    installed: dict[str, str],
    tmp_path: Path,
    wine_csv: Path,
    task: str,
    framework: str,
    architecture: Any,
    runtime: str,
) -> None:
    rig = Rig(tmp_path)
    recipe = {"task": task, "framework": framework, "architecture": architecture,
              "optimiser": {"learning_rate": 0.02}, "training": {"epochs": 15, "batch_size": 16}}  # fmt: skip
    folder = rig.prepare("grain", rig.dataset(wine_csv, "tabular-classification"), recipe)
    subprocess.run([sys.executable, "-m", "gristmill.lab.run", str(folder)], env=installed, check=True, timeout=200)
    found = result(folder)
    assert found is not None
    assert (found.error, found.state) == (None, RunState.succeeded)
    assert found.metrics["test/accuracy"] > 0.85
    command = [sys.executable, "-c", SERVED, str(folder / "bundle")]
    served = json.loads(subprocess.check_output(command, env=installed, text=True, timeout=200))
    assert served["sum"] == pytest.approx(1, abs=1e-4)
    assert {"distance", "occlusion"} <= set(served["explainers"])
