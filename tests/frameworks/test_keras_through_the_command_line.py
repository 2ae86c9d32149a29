"""`framework: keras` in a recipe is all that changes: the same verbs end to end, on a real platform."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import endpoint_state, write_recipe
from tests.running import Platform, eventually

NAME = "wine-keras"


@pytest.fixture(scope="module")
def served(wine_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    pytest.importorskip("keras")
    recipe = write_recipe(tmp_path_factory.mktemp("keras") / "wine.yaml", name=NAME, framework="keras")
    made = wine_platform.json("train", str(recipe), "--watch")
    assert made["made"] == f"{NAME}@1"
    wine_platform.cli("deploy", f"{NAME}@1", "--endpoint", NAME)
    eventually(lambda: endpoint_state(wine_platform, NAME) == "ready", 60, "the endpoint is not ready")
    yield wine_platform
    wine_platform.cli("endpoints", "delete", NAME)


@pytest.fixture
def rows(wine_rows: list[list[float]], tmp_path: Path) -> str:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(wine_rows))
    return str(path)


def libraries(running: Platform, endpoint: str) -> str:
    """The shared libraries that the endpoint's workers have mapped."""
    found = [Path(f"/proc/{running.pid_of(folder)}/maps").read_text() for folder in running.replicas(endpoint)]
    assert found
    return "\n".join(found)


def test_it_predicts_what_it_has_learned(served: Platform, rows: str) -> None:
    answer = served.json("predict", NAME, rows)
    assert "class_0" in json.dumps(answer)


def test_it_is_evaluated_beside_the_model_of_pytorch(served: Platform) -> None:
    ended = served.json("evaluate", f"{NAME}@1", "--data", "wine@1", "--against", "wine@1", timeout=200)
    assert ended["state"] == "succeeded"
    assert ended["metrics"]["accuracy"] > 0.8
    assert ended["report"]["verdict"]


def test_it_is_explained_by_its_gradients(served: Platform, rows: str) -> None:
    explanation = served.json("explain", NAME, rows)["explanations"][0]
    assert explanation["method"] == "integrated-gradients"
    assert len(explanation["values"]) == 13
    assert abs(explanation["delta"]) < 0.02


def test_a_worker_loads_its_own_framework_only(served: Platform) -> None:
    keras, torch = libraries(served, NAME), libraries(served, "wine")
    assert "libtensorflow" in keras
    assert "libtorch" not in keras
    assert "libtorch" in torch
    assert "libtensorflow" not in torch
