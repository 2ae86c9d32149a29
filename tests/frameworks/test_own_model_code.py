"""`model: path/to/model.py:build` trains like any architecture and is packaged so that serving needs no user code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_recipe
from tests.frameworks.exercise import OWN
from tests.running import Platform

Exercised = Callable[[str], dict[str, Any]]
each = pytest.mark.parametrize(
    ("framework", "file"), [("torch", "model.pt2"), ("keras", "model.keras"), ("tensorflow", "saved_model")]
)


@each
def test_it_is_trained_and_packaged_without_its_code(exercised: Exercised, framework: str, file: str) -> None:
    found = exercised(framework)["own"]
    assert found["right"]["files"] == [file]
    assert found["right"]["accuracy"] >= 0.85
    assert found["right"]["scores"] == found["again"]["scores"], "the same seed made other weights"


@each
def test_what_it_does_wrong_is_said_in_one_sentence(exercised: Exercised, framework: str, file: str) -> None:
    found = exercised(framework)["own"]
    assert found["missing"] == "model.py has no function 'built'."
    assert "should answer with [N, 3], and answers with [N, 7]" in found["outputs"]
    assert "The model code model.py:build failed: KeyError: 'no such mill'" in found["raises"]
    assert "returns a int" in found["type"]
    assert "The model code model.py:build failed: SystemExit: 3" in found["exits"]
    assert "should answer with logits, and answers with probabilities" in found["softmax"]
    assert framework != "keras" or "'Mine', which is not Keras's own" in found["unsafe"]
    assert framework != "torch" or "PyTorch cannot export the model" in found["unsafe"]
    assert framework != "tensorflow" or "the operator 'EagerPyFunc', which reaches beyond it" in found["unsafe"]


def test_the_cli_sends_the_code_along(wine_platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text(OWN["torch"])
    recipe = write_recipe(tmp_path / "own.yaml", name="own", model="code/mine.py:build", architecture={"hidden": 8})
    made = wine_platform.json("train", str(recipe), "--watch")
    assert made["made"] == "own@1"
    refused = wine_platform.cli("train", str(recipe), "--set", "model=code/mine.py", check=False)
    assert refused.returncode != 0
    assert "models/model.py:build" in refused.stderr
    absent = wine_platform.cli("train", str(recipe), "--set", "model=code/yours.py:build", check=False)
    assert absent.returncode != 0
    assert "There is no file" in absent.stderr
