import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gristmill.bundles.digests import verify
from gristmill.bundles.replay import replay
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.measurement import Meter
from gristmill.core.types import DatasetRef, Resources, RunResult, RunState, VersionRef
from gristmill.lab.events import write_result
from gristmill.lab.loading import load_version, open_version
from tests.lab.rig import Rig, events, finish, result

SHARED = Path(__file__).parents[3] / "shared" / "data"
WINE: dict[str, Any] = {
    "task": "tabular-classification",
    "architecture": {"name": "mlp", "hidden": [32]},
    "optimiser": {"learning_rate": 0.01},
    "training": {"epochs": 20, "batch_size": 32, "seed": 1},
}


def trained(rig: Rig, name: str, dataset: DatasetRef, recipe: dict[str, Any]) -> tuple[Path, dict[str, float]]:
    folder = rig.prepare(name, dataset, recipe)
    found = finish(folder)
    assert found is not None
    assert (found.error, found.state) == (None, RunState.succeeded), (folder / "log.txt").read_text()[-2000:]
    return folder, found.metrics


@pytest.mark.parametrize(
    "loss",
    [
        {"name": "cross-entropy", "label_smoothing": 0.1, "class_weights": "balanced"},
        {"name": "focal"},
        {"name": "bce"},
    ],
)
def test_an_mlp_on_wine_with_every_loss(rig: Rig, wine: DatasetRef, loss: dict[str, Any]) -> None:
    _, metrics = trained(rig, f"wine-{loss['name']}", wine, WINE | {"loss": loss})
    assert metrics["test/accuracy"] >= 0.9


@pytest.mark.parametrize("optimiser", ["sgd", "adafactor"])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "step"])
def test_an_mlp_on_wine_with_every_optimiser_and_schedule(
    rig: Rig, wine: DatasetRef, optimiser: str, schedule: str
) -> None:
    recipe = WINE | {
        "optimiser": {"name": optimiser, "learning_rate": 0.05},
        "schedule": {"name": schedule, "warmup_steps": 5},
    }
    _, metrics = trained(rig, f"wine-{optimiser}-{schedule}", wine, recipe)
    assert metrics["test/accuracy"] >= 0.85


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_a_regression_on_diabetes_beats_the_mean(rig: Rig, diabetes: DatasetRef, loss: str) -> None:
    recipe = {"task": "tabular-regression", "architecture": {"name": "mlp", "hidden": [32]}, "loss": {"name": loss},
              "optimiser": {"learning_rate": 0.003}, "training": {"epochs": 30, "batch_size": 32}}  # fmt: skip
    folder, metrics = trained(rig, f"diabetes-{loss}", diabetes, recipe)
    assert metrics["test/r2"] > 0.3
    assert verify(folder / "bundle").signature.target == "target", "an explanation names what it explains"


def test_a_cnn_on_the_digits(rig: Rig, digits: DatasetRef) -> None:
    recipe = {"task": "image-classification", "architecture": {"name": "cnn"}, "schedule": {"name": "one-cycle"},
              "optimiser": {"learning_rate": 0.003}, "training": {"epochs": 8, "precision": "bf16"}}  # fmt: skip
    _, metrics = trained(rig, "digits-cnn", digits, recipe)
    assert metrics["test/accuracy"] >= 0.97


@pytest.mark.parametrize("architecture", ["bilstm", "transformer"])
def test_texts_are_learned_and_padding_never_matters(rig: Rig, architecture: str) -> None:
    source = SHARED / "textcls" / "sst2" / "train.tsv"
    if not source.exists():
        pytest.skip("SST-2 is not among the shared data here")
    part = rig.folder / f"sst2-{architecture}.tsv"
    part.write_text("\n".join(source.read_text().split("\n")[:2500]))
    dataset = rig.dataset(part, "text-classification", columns=["text", "label"], quote=False)
    small = {"bilstm": {"embedding": 32, "hidden": 32}, "transformer": {"width": 32, "layers": 1, "max_length": 64}}
    recipe = {
        "task": "text-classification",
        "architecture": {"name": architecture, **small[architecture]},
        "optimiser": {"learning_rate": 0.005},
        "training": {"epochs": 3},
        "preprocessing": {"max_length": 40},
    }
    folder, metrics = trained(rig, f"sst2-{architecture}", dataset, recipe)
    assert metrics["test/accuracy"] > 0.6
    bundle = folder / "bundle"
    version = open_version("sst2", bundle, verify(bundle), Resources())
    short, long = b"a gripping film", b"one two three four five six seven eight nine ten eleven"
    alone = version.outputs({"text": np.asarray([short], object)})["probabilities"]
    beside = version.outputs({"text": np.asarray([short, long], object)})["probabilities"]
    np.testing.assert_allclose(alone[0], beside[0], atol=1e-5)


def test_early_stopping_keeps_and_tells_its_best_epoch(rig: Rig, wine: DatasetRef) -> None:
    rule = {"metric": "validation/loss", "patience": 3}
    recipe = WINE | {
        "optimiser": {"learning_rate": 0.05},
        "training": {"epochs": 200, "batch_size": 16, "early_stopping": rule},
    }
    folder, metrics = trained(rig, "wine-early", wine, recipe)
    told = [event.values["validation/loss"] for event in events(folder) if "validation/loss" in event.values]
    assert len(told) < 200, "it did not stop early"
    assert metrics["validation/loss"] == min(told) < told[-1]


def test_a_metric_that_is_not_finite_is_left_out_of_the_result(tmp_path: Path) -> None:
    measured = {"train/loss": 0.5, "validation/loss": float("nan")}
    write_result(tmp_path, RunResult(state=RunState.succeeded, attempt=1, use=Meter().read(), metrics=measured))
    found = result(tmp_path)
    assert found is not None
    assert found.metrics == {"train/loss": 0.5}


def test_a_bundle_replays_its_golden_answers_and_other_weights_do_not(
    rig: Rig, wine: DatasetRef, tmp_path: Path
) -> None:
    folder, _ = trained(rig, "wine-golden", wine, WINE)
    found = result(folder)
    assert found is not None
    other, _ = trained(rig, "wine-other", wine, WINE | {"training": {"epochs": 2}})
    bundle = folder / "bundle"
    manifest = verify(bundle)
    version = open_version("wine", bundle, manifest, Resources())
    replay(bundle, manifest.signature, version.outputs)
    assert "## Quality" in (bundle / "card.md").read_text()
    assert manifest.lineage.datasets == ("wine@1",)
    swapped = tmp_path / "swapped"
    shutil.copytree(bundle, swapped)
    shutil.copy(other / "bundle" / "weights" / "model.safetensors", swapped / "weights")
    with pytest.raises(Unprocessable, match="golden"):
        replay(swapped, manifest.signature, open_version("wine", swapped, manifest, Resources()).outputs)
    with pytest.raises(CorruptBundle, match=r"weights/model\.safetensors"):
        load_version(
            VersionRef(model="wine", version=1, digest=found.bundle_digest or "", folder=str(swapped)), Resources()
        )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"optimiser": {"name": "sgd", "learning_rate": 1e30, "momentum": 0.0}}, "not finite"),
        ({"architecture": {"name": "mlp", "hiden": [3]}}, "has no option 'hiden'"),
        ({"architecture": {"name": "resnet"}}, "no architecture 'resnet'"),
        ({"training": {"early_stopping": {"metric": "validation/accuracies"}}}, "is not measured"),
        ({"preprocessing": {"max_lenght": 3}}, "preprocessing.max_lenght"),
    ],
)
def test_a_run_that_cannot_go_on_says_why_in_one_sentence(
    rig: Rig, wine: DatasetRef, changes: dict[str, Any], says: str
) -> None:
    folder = rig.prepare(f"wrong-{len(says)}-{says[:3].strip()}", wine, WINE | changes)
    found = finish(folder)
    assert found is not None
    assert found.state is RunState.failed
    assert found.error is not None
    assert says in found.error
    assert "\n" not in found.error
    assert events(folder)[-1].kind == "ended"
