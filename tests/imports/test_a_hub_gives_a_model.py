"""`hf://ORG/NAME` and `mlflow://NAME/VERSION` through their own clients, from a hub and a registry on this machine."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gristmill.core.errors import GristmillError, NotFound, Unavailable, Unprocessable
from tests.imports.hub import Hub, hub_of
from tests.imports.rig import Rig, onnx_model

X = np.random.default_rng(7).normal(size=(5, 4)).astype(np.float32)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    onnx_model(tmp_path / "model.onnx")
    model = (tmp_path / "model.onnx").read_bytes()
    pickled = pickle.dumps({})
    models = {
        "mill/linear": {"README.md": b"---\nlicense: mit\n---\n", "model.onnx": model, "pytorch_model.bin": pickled,
                        "tokenization_mill.py": b"raise SystemExit", ".gitattributes": b""},
        "mill/pickled": {"config.json": b"{}", "pytorch_model.bin": pickled},
    }  # fmt: skip
    with hub_of(models) as served:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", served.url)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
                            served.url + "/{repo_id}/resolve/{revision}/{filename}")  # fmt: skip
        yield served


@pytest.mark.parametrize("source", ["hf://mill/linear", "hf://mill/linear@main", "hf://mill/linear/model.onnx"])
def test_a_model_is_fetched_without_what_could_run_code(rig: Rig, hub: Hub, source: str) -> None:
    found = rig.bring(source)
    assert found.manifest.lineage.imported_from == source
    assert found.version.outputs({"x": X})["y"].shape == (5, 3)
    assert "model.onnx" in hub.fetched
    assert not {"pytorch_model.bin", "tokenization_mill.py"} & set(hub.fetched), "only what is taken is fetched"
    assert rig.left_over() == {"bundle"}


@pytest.mark.parametrize(
    ("source", "kind", "says"),
    [
        ("hf://mill/nobody", NotFound, "no model 'mill/nobody', or it is private"),
        ("hf://mill/linear@gone", NotFound, "'mill/linear' has no revision 'gone'"),
        ("hf://mill/pickled", Unprocessable, "no weights as safetensors or ONNX"),
        ("hf://mill/linear/other.gguf", NotFound, "'mill/linear' has no file 'other.gguf'"),
        ("hf://", Unprocessable, "write hf://ORG/NAME"),
    ],
)
def test_what_a_hub_has_not_is_told_in_one_sentence(
    rig: Rig, hub: Hub, source: str, kind: type[GristmillError], says: str
) -> None:
    with pytest.raises(kind, match=says) as caught:
        rig.bring(source)
    assert "\n" not in caught.value.message
    assert rig.left_over() == set()


REGISTER = """
import sys, mlflow, onnx
with mlflow.start_run():
    mlflow.onnx.log_model(onnx.load(sys.argv[1]), name="model", registered_model_name="wine", pip_requirements=[])
"""


def test_a_registry_of_mlflow_gives_a_version(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    weights = onnx_model(tmp_path / "m.onnx")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    registered = subprocess.run([sys.executable, "-c", REGISTER, str(tmp_path / "m.onnx")], cwd=tmp_path,
                                capture_output=True, text=True, timeout=120)  # fmt: skip
    assert registered.returncode == 0, registered.stderr[-2000:]
    found = rig.bring("mlflow://wine/1")
    assert (found.manifest.runtime, found.manifest.lineage.imported_from) == ("onnx", "mlflow://wine/1")
    np.testing.assert_allclose(found.version.outputs({"x": X})["y"], X @ weights, rtol=1e-5)
    shutil.rmtree(rig.run / "bundle")
    for source in ("mlflow://wine/7", "mlflow://nobody/1"):
        with pytest.raises(Unavailable, match="check the name and MLFLOW_TRACKING_URI"):
            rig.bring(source)
        assert rig.left_over() == set()
