"""`hf://ORG/NAME` through the hub's own client, from a hub on this machine: what is taken, and what is told."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gristmill.core.errors import GristmillError, NotFound, Unprocessable
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
