"""Real things, made once a session: a platform that is up, data in it, a trained and deployed model."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings

from tests import language
from tests.running import Platform, eventually, platform

# No example fails for being slow on a busy machine. The whole suite tries the same examples every time; what is run
# alone tries new ones.
settings.register_profile(
    "steady", deadline=None, suppress_health_check=[HealthCheck.too_slow],
    derandomize="PYTEST_XDIST_WORKER" in os.environ,
)  # fmt: skip
settings.load_profile("steady")

WINE_RECIPE: dict[str, Any] = {
    "name": "wine",
    "task": "tabular-classification",
    "data": {"dataset": "wine", "target": "target"},
    "framework": "torch",
    "architecture": {"name": "mlp", "hidden": [32, 32]},
    "optimiser": {"name": "adamw", "learning_rate": 0.01},
    "training": {"epochs": 12, "batch_size": 32, "seed": 7},
    "resources": {"cores": 1},
}


@pytest.fixture(scope="session")
def wine_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's wine: 178 real rows of 13 measurements."""
    datasets = pytest.importorskip("sklearn.datasets")
    wine = datasets.load_wine()
    path = tmp_path_factory.mktemp("data") / "wine.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*wine.feature_names, "target"])
        writer.writerows([*row, wine.target_names[target]] for row, target in zip(wine.data, wine.target, strict=True))
    return path


@pytest.fixture(scope="session")
def wine_rows() -> list[list[float]]:
    datasets = pytest.importorskip("sklearn.datasets")
    return [[float(value) for value in row] for row in datasets.load_wine().data[:3]]


def write_recipe(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump(WINE_RECIPE | changes))
    return path


def with_wine(running: Platform, wine_csv: Path, folder: Path, versions: int = 2) -> Platform:
    """Add wine, train `versions` versions of the model `wine`, deploy the first as endpoint `wine`."""
    running.cli("data", "add", "wine", str(wine_csv), "--task", "tabular-classification", "--cost", "120USD")
    recipe = write_recipe(folder / "wine.yaml")
    for seed in range(versions):
        running.cli("train", str(recipe), "--watch", "--set", f"training.seed={seed}")
    running.cli("deploy", "wine@1", "--endpoint", "wine", "--replicas", "2")
    eventually(lambda: endpoint_state(running, "wine") == "ready", 40, "the endpoint is not ready")
    return running


def endpoint_state(running: Platform, name: str) -> str:
    return str(running.client().endpoints.get(name)["state"])


@pytest.fixture(scope="session")
def wine_platform(tmp_path_factory: pytest.TempPathFactory, wine_csv: Path) -> Iterator[Platform]:
    """A platform with wine@1 and wine@2 made, wine@1 behind the endpoint `wine` on two replicas."""
    folder = tmp_path_factory.mktemp("platform")
    with platform(folder / "home") as running:
        yield with_wine(running, wine_csv, folder)


@pytest.fixture(scope="session")
def language_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with a tiny language model as tiny@1, behind the endpoint `tiny` on one replica."""
    folder = language.folder(tmp_path_factory.mktemp("model") / "tiny-llama")
    with platform(tmp_path_factory.mktemp("language") / "home") as running:
        running.cli("models", "import", str(folder), "--name", "tiny")
        running.cli("deploy", "tiny@1", "--cores", "1", "--memory", "1GB")
        yield running
