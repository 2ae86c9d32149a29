"""Whatever the format: gradients where the model has them, of what its task answers with; else one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.core.errors import Unprocessable
from tests.imports.rig import Import, Rig

X = np.random.default_rng(7).normal(size=(5, 4)).astype(np.float32)
STEPS = 256


def classifier() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).eval()


def exported(path: Path, module: nn.Module) -> Path:
    batch = {0: torch.export.Dim("batch", min=1)}
    torch.export.save(torch.export.export(module, (torch.randn(2, 4),), dynamic_shapes=(batch,)), path)
    return path


def scripted(path: Path, module: nn.Module) -> Path:
    torch.jit.trace(module, torch.randn(2, 4)).save(str(path))  # type: ignore[no-untyped-call]
    return path


def in_keras(path: Path, module: nn.Module) -> Path:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(3)])
    model.set_weights([values.T.detach().numpy() for values in module.state_dict().values()])
    model.export(path, verbose=False) if path.suffix == "" else model.save(path)
    return path


FORMATS = {"m.pt2": exported, "m.pt": scripted, "m.keras": in_keras, "saved": in_keras}


def explained(found: Import, target: int) -> tuple[np.ndarray, np.ndarray]:
    """What the attributions of `target` sum to, and what its score gains on the way from zeros to X."""
    ((name, values),) = found.version.preprocessing.apply({_input(found): X}).items()
    runtime: Any = found.version.runtime
    attributions, _ = runtime.integrated_gradients(
        {name: values}, {name: np.zeros_like(values)}, np.full(len(X), target), STEPS
    )
    scores = [next(iter(found.version.outputs({_input(found): rows}).values())) for rows in (X, np.zeros_like(X))]
    return attributions[name].sum(axis=1), (scores[0] - scores[1])[:, target]


def _input(found: Import) -> str:
    return found.manifest.signature.inputs[0].name


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("task", ["tensors", "tabular-classification"])
def test_attributions_sum_to_what_the_score_gains(rig: Rig, tmp_path: Path, name: str, task: str) -> None:
    told: dict[str, Any] = {"inputs": [{"name": "x", "dtype": "FP32", "shape": [-1, 4]}]} if name == "m.pt" else {}
    if task != "tensors":
        told |= {"task": task, "labels": ["a", "b", "c"]}
    found = rig.bring(FORMATS[name](tmp_path / name, classifier()), **told)
    for target in (0, 2):
        sums, gained = explained(found, target)
        assert np.abs(gained).max() > 0.05, "the scores do not move"
        np.testing.assert_allclose(sums, gained, atol=1e-3)


def test_several_labels_a_row_are_explained_by_their_own_probability(rig: Rig, tmp_path: Path) -> None:
    told = {"task": "tabular-classification", "labels": ["a", "b", "c"], "scores": "independent-logits"}
    sums, gained = explained(rig.bring(exported(tmp_path / "m.pt2", classifier()), **told), 1)
    np.testing.assert_allclose(sums, gained, atol=1e-3)


def test_a_program_without_gradients_says_which_method_needs_none(rig: Rig, tmp_path: Path) -> None:
    class Steps(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.detach() > 0).float()

    version = rig.bring(exported(tmp_path / "m.pt2", Steps())).version
    runtime: Any = version.runtime
    with pytest.raises(Unprocessable, match="ask for the method occlusion") as caught:
        runtime.integrated_gradients({"x": X}, {"x": np.zeros_like(X)}, np.zeros(len(X), int), 8)
    assert caught.value.details["field"] == "method"
