from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gristmill.bundles.manifest import PREPROCESSING, Lineage, Manifest, write_manifest
from gristmill.bundles.replay import write_golden
from gristmill.core.errors import Unprocessable
from gristmill.core.files import write_atomic
from gristmill.core.types import RunKind, RunSpec, Signature, TensorSpec, VersionRef
from gristmill.frameworks.torch.architectures.shapes import Shapes, build
from gristmill.lab.events import Events
from gristmill.lab.export import export_run
from gristmill.lab.loading import LoadedVersion, open_version
from gristmill.lab.package import manifest_with_files
from gristmill.tasks.preprocessing import NormaliseImage, Preprocessing, Standardise, Tokenise, encode_preprocessing
from gristmill.tasks.protocol import Tensors
from gristmill.tasks.series import ScaleSeries
from tests.imports.rig import CORE, Rig

WORDS = tuple("all is grist that comes to the mill".split())
NUMBERS = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
PICTURES = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
TEXTS = np.asarray([b"all is grist", b"to the mill that comes", b"", b"grist grist mill", b"x"], object)
SERIES = np.random.default_rng(2).normal(size=(7, 6, 2)).astype(np.float32)
SCALED = ScaleSeries(("load", "heat"), (0.5, 0.0), (2.0, 1.0), (1,), 6, 3, 1)
CASES: dict[str, tuple[str, Shapes, Preprocessing, Tensors]] = {
    "mlp": ("tabular-classification", Shapes((4,), 3), Preprocessing(Standardise((0.0,) * 4, (2.0,) * 4)),
            {"features": NUMBERS}),
    "cnn": ("image-classification", Shapes((3, 16, 16), 3), Preprocessing(NormaliseImage((0.5,) * 3, (0.2,) * 3)),
            {"image": PICTURES}),
    "bilstm": ("text-classification", Shapes((8,), 3, 2 + len(WORDS)), Preprocessing(Tokenise(WORDS, 8)),
               {"text": TEXTS}),
    "transformer": ("text-classification", Shapes((8,), 3, 2 + len(WORDS)), Preprocessing(Tokenise(WORDS, 8)),
                    {"text": TEXTS}),
    "lstm": ("time-series-forecasting", Shapes((6, 2), 3, targets=(1,)), Preprocessing(SCALED), {"history": SERIES}),
    "gru": ("time-series-forecasting", Shapes((6, 2), 3, targets=(1,)), Preprocessing(SCALED), {"history": SERIES}),
}  # fmt: skip


def _packaged(folder: Path, name: str) -> tuple[VersionRef, LoadedVersion]:
    """A bundle as packaging makes it, its weights as they were initialised."""
    task, shapes, preprocessing, raw = CASES[name]
    torch.manual_seed(1)
    (folder / "weights").mkdir(parents=True)
    save_file(build(task, {"name": name}, shapes).state_dict(), folder / "weights" / "model.safetensors")
    write_atomic(folder / PREPROCESSING, encode_preprocessing(preprocessing))
    write_atomic(folder / "card.md", b"# a card")
    dtypes = {"text": "BYTES", "image": "UINT8", "features": "FP32", "history": "FP32"}
    inputs = tuple(TensorSpec(key, dtypes[key], (-1, *values.shape[1:])) for key, values in raw.items())
    forecast = task == "time-series-forecasting"
    output = TensorSpec("forecast" if forecast else "probabilities", "FP32", (-1, 3))
    signature = Signature(task, inputs, (output,), None if forecast else ("a", "b", "c"))
    sizes = {"row": shapes.row, "outputs": 3, "vocabulary": shapes.vocabulary, "targets": shapes.targets}
    architecture: dict[str, Any] = {"name": name, "shapes": sizes}
    manifest = Manifest(name="m", task=task, framework="torch", runtime="torch", architecture=architecture,
                        signature=signature, lineage=Lineage(), files={}, parameters=1, licence=None,
                        created_at=0.0)  # fmt: skip
    version = open_version("m@1", folder, manifest, CORE)
    golden = {key: values[:2] for key, values in raw.items()}
    write_golden(folder, golden, version.outputs(golden))
    return _sealed(folder, version), version


def _sealed(folder: Path, version: LoadedVersion) -> VersionRef:
    digest = write_manifest(folder, manifest_with_files(version.manifest, folder))
    return VersionRef(model="m", version=1, digest=digest, folder=str(folder))


def _export(rig: Rig, version: VersionRef, target: str = "onnx") -> LoadedVersion:
    spec = RunSpec(id="run_test", tenant="default", kind=RunKind.export, attempt=1, seed=0, resources=CORE,
                   blobs_url="", version=version, format=target)  # fmt: skip
    made = export_run(spec, rig.run, Events(rig.run, 1))
    return open_version("m", rig.run / "bundle", made.manifest, CORE)


@pytest.mark.parametrize("name", CASES)
def test_onnx_gives_the_answers_of_the_module_for_any_batch_and_length(rig: Rig, tmp_path: Path, name: str) -> None:
    reference, version = _packaged(tmp_path / "bundle", name)
    exported = _export(rig, reference)
    assert (exported.manifest.runtime, exported.manifest.lineage.parent) == ("onnx", "m@1")
    raw = CASES[name][3]
    for rows in (1, len(next(iter(raw.values())))):
        some = {key: values[:rows] for key, values in raw.items()}
        ((output, expected),) = version.outputs(some).items()
        np.testing.assert_allclose(exported.outputs(some)[output], expected, rtol=1e-4, atol=1e-5)


def test_a_version_whose_golden_answers_do_not_come_out_again_is_not_exported(rig: Rig, tmp_path: Path) -> None:
    _, version = _packaged(tmp_path / "bundle", "mlp")
    golden = {"features": NUMBERS[:2]}
    other = version.outputs(golden)["probabilities"] + 0.5
    write_golden(tmp_path / "bundle", golden, {"probabilities": other})
    with pytest.raises(Unprocessable, match=r"output 'probabilities' differs by up to 0.5; it is refused"):
        _export(rig, _sealed(tmp_path / "bundle", version))
    assert rig.left_over() == set()


def test_a_format_that_there_is_not_names_those_that_there_are(rig: Rig, tmp_path: Path) -> None:
    reference, _ = _packaged(tmp_path / "bundle", "mlp")
    with pytest.raises(Unprocessable, match="the runtime 'torch' is not exported to 'coreml': onnx is"):
        _export(rig, reference, "coreml")
