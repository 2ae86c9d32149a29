"""Every refusal: one sentence that says what to do, before any of the file's code ran, and nothing left behind."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from gristmill.core.errors import CorruptBundle, GristmillError, Malformed, TooLarge, Unavailable, Unprocessable
from gristmill.core.types import ImportRef, RunKind, RunResult, RunSpec, RunState, Told
from gristmill.frameworks.torch.program import is_arithmetic
from tests.imports.rig import CORE, Rig, external, onnx_model, program, rewritten, save_onnx

X_OF_3 = {"name": "x", "dtype": "FP32", "shape": [-1, 3]}


class Marks:
    """Writes a file when it is unpickled: what a hostile file would do, and worse."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


def refused(rig: Rig, source: Path | str, kind: type[GristmillError], says: str, **told: Any) -> None:
    with pytest.raises(kind, match=says) as caught:
        rig.bring(source, **told)
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    assert str(rig.folder) not in caught.value.message
    assert rig.left_over() == set()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_a_pickle_says_how_it_is_converted(rig: Rig, tmp_path: Path, marker: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    torch.save({"weights": torch.ones(2), "bad": Marks(marker)}, path)
    refused(rig, path, Unprocessable, r"is a pickle, .*models convert weights.* --to weights.safetensors")
    path.write_bytes(pickle.dumps(Marks(marker)))
    refused(rig, path, Unprocessable, "is a pickle")
    assert not marker.exists()


def test_a_pickle_of_another_library_is_sent_to_onnx(rig: Rig, tmp_path: Path, marker: Path) -> None:
    (tmp_path / "forest.joblib").write_bytes(pickle.dumps(Marks(marker)))
    refused(rig, tmp_path / "forest.joblib", Unprocessable, "save the model as ONNX")
    assert not marker.exists()


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "a/../../secret.bin"])
def test_onnx_with_weights_outside_its_folder(rig: Rig, tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    folder = tmp_path / "model"
    folder.mkdir()
    save_onnx(folder / "m.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [external(location)])
    refused(rig, folder, Unprocessable, "outside the model's folder")


def test_onnx_with_weights_in_two_places(rig: Rig, tmp_path: Path) -> None:
    """The first is what a check would read, the last what ONNX Runtime would."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(bytes(48))
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    twice = external("w.bin")
    twice.external_data.add(key="location", value="../secret.bin")
    save_onnx(folder / "m.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [twice])
    refused(rig, folder, Unprocessable, "lie in 2 places at once")


def test_onnx_with_weights_outside_its_folder_in_a_constant(rig: Rig, tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["w"], value=external("../secret.bin"))
    save_onnx(tmp_path / "m.onnx", [constant, helper.make_node("MatMul", ["x", "w"], ["y"])], [])
    refused(rig, tmp_path / "m.onnx", Unprocessable, "outside the model's folder")


def test_onnx_with_weights_that_did_not_come_along(rig: Rig, tmp_path: Path) -> None:
    save_onnx(tmp_path / "m.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [external("weights.bin")])
    refused(rig, tmp_path / "m.onnx", Unprocessable, "import the folder that holds both")


def test_onnx_with_operators_of_a_custom_library(rig: Rig, tmp_path: Path) -> None:
    node = helper.make_node("Evil", ["x"], ["y"], domain="their.domain")
    save_onnx(tmp_path / "m.onnx", [node], [], opsets=[helper.make_opsetid("their.domain", 1)])
    refused(rig, tmp_path / "m.onnx", Unprocessable, "only a library of custom operators has")


@pytest.mark.parametrize("content", [b"", b"no protobuf", b"\x08\x01"])
def test_onnx_that_is_no_model(rig: Rig, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    refused(rig, tmp_path / "m.onnx", (CorruptBundle, Malformed), "m.onnx is not")  # type: ignore[arg-type]


def test_onnx_with_an_operator_that_does_not_exist(rig: Rig, tmp_path: Path) -> None:
    save_onnx(tmp_path / "m.onnx", [helper.make_node("Boo", ["x"], ["y"])], [])
    refused(rig, tmp_path / "m.onnx", CorruptBundle, "cannot be opened by ONNX Runtime .*No Op registered for Boo")


def test_onnx_that_cannot_be_batched(rig: Rig, tmp_path: Path) -> None:
    onnx_model(tmp_path / "m.onnx", batch=8)
    refused(rig, tmp_path / "m.onnx", Unprocessable, "its first dimension should be a free batch")


def test_a_model_that_does_not_answer_with_finite_numbers(rig: Rig, tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.full((4, 3), np.nan, np.float32), "w")
    save_onnx(tmp_path / "m.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [weights])
    refused(rig, tmp_path / "m.onnx", Unprocessable, "output 'output' is not finite")


@pytest.mark.parametrize("name", ["x\n\x1b[31mred", "x" * 300, "\u202eevil"])
def test_names_that_would_write_on_a_terminal(rig: Rig, tmp_path: Path, name: str) -> None:
    onnx_model(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    model.graph.node[0].input[0] = model.graph.input[0].name = name
    onnx.save(model, tmp_path / "m.onnx")
    refused(rig, tmp_path / "m.onnx", Unprocessable, "characters that can be printed")


def test_a_model_that_takes_nothing_or_far_too_much(rig: Rig, tmp_path: Path) -> None:
    nothing = helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(np.zeros((4, 3), np.float32)))
    save_onnx(tmp_path / "m.onnx", [nothing], [])
    model = onnx.load(tmp_path / "m.onnx")
    del model.graph.input[:]
    onnx.save(model, tmp_path / "m.onnx")
    refused(rig, tmp_path / "m.onnx", Unprocessable, "cannot be called")
    onnx_model(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2**40
    onnx.save(model, tmp_path / "m.onnx")
    refused(rig, tmp_path / "m.onnx", Unprocessable, r"has 1,099,511,627,776 values")


def test_a_model_that_answers_otherwise_each_time(rig: Rig, tmp_path: Path) -> None:
    noise = helper.make_node("RandomNormal", [], ["noise"], shape=[3])
    nodes = [noise, helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Add", ["z", "noise"], ["y"])]
    save_onnx(tmp_path / "m.onnx", nodes, [numpy_helper.from_array(np.ones((4, 3), np.float32), "w")])
    refused(rig, tmp_path / "m.onnx", Unprocessable, "differently each time .* without dropout")


_value = helper.make_tensor_value_info
ENDLESS = helper.make_graph(
    [helper.make_node("Identity", ["c"], ["go"]), helper.make_node("Identity", ["v"], ["w"])],
    "body",
    [_value("i", TensorProto.INT64, []), _value("c", TensorProto.BOOL, []), _value("v", TensorProto.FLOAT, None)],
    [_value("go", TensorProto.BOOL, []), _value("w", TensorProto.FLOAT, None)],
)


def test_a_model_that_computes_without_end_is_given_up(tmp_path: Path) -> None:
    """In the run's own process, as the scheduler starts it; only the time that it is given is shorter."""
    folder = tmp_path / "run"
    folder.mkdir()
    nodes = [helper.make_node("Loop", ["", "true", "x"], ["y"], body=ENDLESS)]
    save_onnx(tmp_path / "m.onnx", nodes, [numpy_helper.from_array(np.array(True), "true")])
    ref = ImportRef(source="m.onnx", told=Told(), upload=str(tmp_path / "m.onnx"))
    spec = RunSpec(id="run_endless", tenant="default", kind=RunKind.import_, attempt=1, seed=0, resources=CORE,
                   blobs_url="", imported=ref)  # fmt: skip
    (folder / "run.json").write_bytes(msgspec.json.encode(spec))
    short = "from pathlib import Path; from gristmill.lab import run; run._LONGEST_IMPORT_S = 2.0; run.main(Path({!r}))"
    subprocess.run([sys.executable, "-c", short.format(str(folder))], check=True, timeout=120)
    result = msgspec.json.decode((folder / "result.json").read_bytes(), type=RunResult)
    assert result.state is RunState.failed
    assert result.error is not None
    assert result.error.startswith("The model was not taken in within 2 seconds")
    assert not {"bundle", "import"} & {path.name for path in folder.iterdir()}


def _lying(header: dict[str, Any], content: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


class _Writes(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "it-ran")
        return x


class _Maps(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.from_file("it-ran", shared=True, size=3, dtype=torch.float32).zero_()


@pytest.mark.parametrize("module", [_Writes, _Maps])
def test_torchscript_that_reaches_files(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: type[torch.nn.Module]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.jit.script(module()).save("m.pt")  # type: ignore[no-untyped-call]
    refused(rig, tmp_path / "m.pt", Unprocessable, "reaches files", inputs=[X_OF_3])
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    "call",
    ['getattr(torch, "sa" "ve")', 'getattr(torch, "\\163ave")', "torch . save", "torch.\\\n  save", "ops.aten.save"],
)
def test_torchscript_that_hides_what_it_calls(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Each is run by PyTorch as it stands."""
    monkeypatch.chdir(tmp_path)
    torch.jit.script(torch.nn.Identity()).save("plain.pt")  # type: ignore[no-untyped-call]
    with zipfile.ZipFile("plain.pt") as plain, zipfile.ZipFile("m.pt", "w", zipfile.ZIP_STORED) as hostile:
        for name in plain.namelist():
            content = plain.read(name)
            if name.endswith(".py"):
                content = content.replace(
                    b"    return input", f'    _0 = {call}(input, "it-ran")\n    return input'.encode()
                )
                assert b"it-ran" in content
            hostile.writestr(name, content)
    refused(rig, tmp_path / "m.pt", Unprocessable, "calls 'save', which reaches files", inputs=[X_OF_3])
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        _lying({"w": {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]}}, bytes(8)),
        _lying({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}, bytes(8)),
        struct.pack("<Q", 2**62) + b"{}",
        b"short",
    ],
    ids=["longer than the file", "shape and bytes differ", "a huge header", "no header"],
)
def test_safetensors_whose_header_lies(rig: Rig, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    told = {"task": "tabular-regression", "architecture": "mlp",
            "inputs": [{"name": "features", "dtype": "FP32", "shape": [-1, 4]}]}  # fmt: skip
    refused(rig, tmp_path / "w.safetensors", CorruptBundle, "its header and its bytes do not agree", **told)


def test_safetensors_alone_ask_for_what_they_are_of(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(_lying({}, b""))
    refused(rig, tmp_path / "w.safetensors", Unprocessable, "say what they are of, as in --architecture cnn")
    told = {"task": "tabular-classification", "architecture": "mlp",
            "inputs": [{"name": "features", "dtype": "FP32", "shape": [-1, 4]}]}  # fmt: skip
    refused(rig, tmp_path / "w.safetensors", Unprocessable, "give --labels FILE with one name a line", **told)


def _use_pickle(config: dict[str, Any]) -> None:
    next(iter(config["config"].values()))["use_pickle"] = True


def _call(target: str) -> Any:
    def change(model: dict[str, Any]) -> None:
        model["graph_module"]["graph"]["nodes"][0]["target"] = target

    return change


def _size(code: str) -> Any:
    def change(model: dict[str, Any]) -> None:
        model["graph_module"]["graph"]["tensor_values"]["input"]["sizes"][0]["as_expr"]["expr_str"] = code

    return change


@pytest.mark.parametrize(
    ("member", "change", "says"),
    [
        ("model_weights_config.json", _use_pickle, "is a pickle"),
        ("models/model.json", _call("torch.load"), "it calls 'torch.load'"),
        ("models/model.json", _call("torch.ops.aten.from_file.default"), "from_file"),
        ("models/model.json", _size("__import__('os').mkdir('MARKER')"), "is the code"),
        ("models/model.json", lambda model: model["guards_code"].append("exec('1')"), "is the code"),
    ],
    ids=["pickled weights", "any function", "a file", "a size that is code", "a guard that is code"],
)
def test_a_program_that_would_run_code(
    rig: Rig, tmp_path: Path, marker: Path, member: str, change: Any, says: str
) -> None:
    program(tmp_path / "m.pt2")
    rewritten(tmp_path / "m.pt2", member, change)
    refused(rig, tmp_path / "m.pt2", Unprocessable, f"could run code when it is opened: .*{says}")
    assert not marker.exists()


def test_a_program_with_pickled_sample_inputs_or_a_library(rig: Rig, tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "m.pt2"
    program(path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO()
    torch.save((Marks(marker),), buffer)
    for name, data, says in (
        ("m/data/sample_inputs/model.pt", buffer.getvalue(), "sample inputs"),
        ("m/data/aotinductor/model/a.so", b"\x7fELF", "it carries"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            for member, kept in {**content, name: data}.items():
                archive.writestr(member, kept)
        refused(rig, path, Unprocessable, says)
    assert not marker.exists()


def test_a_zip_that_readers_could_read_in_different_ways(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    program(path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("m/models/model.json", "{}")
    refused(rig, path, Malformed, "readers may read in different ways")
    path.write_bytes(b"before" + whole)
    refused(rig, path, Malformed, "readers may read in different ways")


@pytest.mark.parametrize("name", ["m.onnx", "m.pt2", "m.keras", "m.safetensors", "m.zip"])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(damage=st.data())
def test_a_damaged_file_is_refused_in_one_sentence_or_answers(
    tmp_path_factory: pytest.TempPathFactory, sound: dict[str, bytes], name: str, damage: st.DataObject
) -> None:
    content = bytearray(sound[name])
    place = damage.draw(st.integers(0, len(content) - 1))
    content[place : place + damage.draw(st.integers(1, 64))] = damage.draw(st.binary(max_size=64))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / name).write_bytes(content)
    rig = Rig(folder)
    told = {"task": "tabular-regression", "architecture": "mlp",
            "inputs": [{"name": "features", "dtype": "FP32", "shape": [-1, 4]}]}  # fmt: skip
    sentence = "it answers."
    try:
        rig.bring(folder / name, **(told if name == "m.safetensors" else {}))
    except GristmillError as error:
        sentence = error.message
    assert sentence.endswith(".")
    assert rig.left_over() <= ({"bundle"} if sentence == "it answers." else set())


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    onnx_model(folder / "m.onnx")
    program(folder / "m.pt2")
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(folder / "m.keras")
    save_file({"w": torch.ones(4)}, folder / "m.safetensors")
    with zipfile.ZipFile(folder / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "m.onnx", "m.onnx")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(st.text(max_size=40))
def test_what_is_no_arithmetic_of_sizes_is_code(text: str) -> None:
    """Whatever passes has no call but of sympy's functions, and no attribute but of shapes."""
    if is_arithmetic(text):
        assert "__" not in text
        assert "import" not in text


@pytest.mark.parametrize(
    ("code", "plain"),
    [
        ("Symbol('s17', positive=True, integer=True)", True),
        ("Mul(Integer(2), FloorDiv(Symbol('s27', positive=True, integer=True), Integer(2)))", True),
        ("((L['y'].size()[0]*L['x'].size()[1]) % (2*L['y'].size()[0])) == 0", True),
        ("().__class__.__base__.__subclasses__()", False),
        ("Symbol('x').func", False),
        ("open('x')", False),
        ("[1 for _ in L]", False),
        ("lambda: 1", False),
    ],
)
def test_sizes_as_pytorch_writes_them_are_arithmetic(code: str, plain: bool) -> None:
    assert is_arithmetic(code) is plain


def _keras_with(path: Path, change: Any) -> Path:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save(path)
    rewritten(path, "config.json", change)
    return path


def _layer(values: dict[str, Any]) -> Any:
    return lambda config: config["config"]["layers"][1].update(values)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_layer({"class_name": "Lambda"}), "has a Lambda layer, whose code would run here"),
        (_layer({"module": "os", "class_name": "system"}), "needs the class 'system', which is not Keras's own"),
        (
            _layer({"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}),
            "from a file of this machine",
        ),
        (_layer({"registered_name": "mine>Own", "class_name": "Own"}), "needs the class 'Own'"),
    ],
)
def test_keras_with_code_in_a_layer(rig: Rig, tmp_path: Path, change: Any, says: str) -> None:
    refused(rig, _keras_with(tmp_path / "m.keras", change), Unprocessable, says)


def test_keras_with_a_config_that_nests_without_end(rig: Rig, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "[" * 100_000 + "]" * 100_000)
        archive.writestr("model.weights.h5", b"")
    refused(rig, tmp_path / "m.keras", CorruptBundle, "its config or its weights cannot be read")


def test_keras_with_weights_in_another_file(rig: Rig, tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["dense"] = h5py.ExternalLink("/etc/passwd", "/")
    path = _keras_with(tmp_path / "m.keras", lambda config: None)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["model.weights.h5"] = (tmp_path / "weights.h5").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    refused(rig, path, Unprocessable, "has weights that point elsewhere")


def test_keras_old_format_says_how_it_is_converted(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(b"\x89HDF")
    refused(rig, tmp_path / "m.h5", Unprocessable, "convert m.h5 --to m.keras")


@pytest.mark.parametrize("operator", ["ReadFile", "WriteFile", "SaveV2", "EagerPyFunc", "Theirs"])
def test_a_saved_model_that_reaches_beyond_its_graph(rig: Rig, tmp_path: Path, operator: str) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    function = saved.meta_graphs.add().graph_def.library.function.add()
    function.signature.name = "__inference__traced_save_1"  # what it is called does not matter
    function.node_def.add(name="n", op=operator)
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    refused(rig, folder, Unprocessable, f"operator '{operator}'")


def _saved_model(folder: Path, compute: Callable[[Any, Any], Any]) -> Path:
    """`compute(variable, x)` as a SavedModel of one variable."""
    import tensorflow as tf

    module = tf.Module()
    module.variable = tf.Variable(tf.zeros([3]))
    given = tf.TensorSpec([None, 3], tf.float32, "x")
    serve = tf.function(lambda x: {"y": compute(module.variable, x)}, input_signature=[given])
    tf.saved_model.save(module, str(folder), {"serving_default": serve.get_concrete_function()})
    return folder


def test_a_saved_model_that_changes_while_it_answers(rig: Rig, tmp_path: Path) -> None:
    folder = _saved_model(tmp_path / "saved", lambda variable, x: x + variable.assign_add([1.0, 1.0, 1.0]))
    refused(rig, folder, Unprocessable, "changes its own variables while it answers")


def test_a_saved_model_whose_variables_are_cut_off(rig: Rig, tmp_path: Path) -> None:
    folder = _saved_model(tmp_path / "saved", lambda variable, x: x + variable)
    (data,) = (folder / "variables").glob("*.data*")
    data.write_bytes(data.read_bytes()[:2])
    refused(rig, folder, CorruptBundle, "cannot be opened as a SavedModel")


def _mlflow(folder: Path, flavours: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "MLmodel").write_text(json.dumps({"flavors": flavours}))
    return folder


def test_an_mlflow_model_that_is_a_pickle(rig: Rig, tmp_path: Path, marker: Path) -> None:
    folder = _mlflow(tmp_path / "sk", {"sklearn": {"pickled_model": "model.pkl"}, "python_function": {}})
    (folder / "model.pkl").write_bytes(pickle.dumps(Marks(marker)))
    refused(rig, folder, Unprocessable, "flavours python_function, sklearn, which are pickles.*log it again as ONNX")
    folder = _mlflow(tmp_path / "pt", {"pytorch": {"model_data": "data"}})
    (folder / "data").mkdir()
    (folder / "data" / "model.pth").write_bytes(pickle.dumps(Marks(marker)))
    refused(rig, folder, Unprocessable, "model.pth is a pickle")
    assert not marker.exists()


def test_an_mlflow_model_that_names_a_path_outside(rig: Rig, tmp_path: Path) -> None:
    refused(
        rig, _mlflow(tmp_path / "m", {"onnx": {"data": "../m.onnx"}}), Unprocessable, "not inside the model's folder"
    )


def test_an_archive_with_a_path_outside(rig: Rig, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("../outside.onnx")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    refused(rig, tmp_path / "m.tar.gz", Unprocessable, "'../outside.onnx' in the archive is not a path inside it")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("../config.json", "{}")
    refused(rig, tmp_path / "m.keras", Malformed, "is not a path inside it")
    assert not (tmp_path / "outside.onnx").exists()


def test_a_zip_bomb(rig: Rig, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("m", "w") as file:
        for _ in range(300):
            file.write(bytes(2**20))
    (tmp_path / "bomb.keras").write_bytes((tmp_path / "bomb.zip").read_bytes())
    refused(rig, tmp_path / "bomb.zip", Unprocessable, "unpacks to more bytes than are allowed")
    refused(rig, tmp_path / "bomb.keras", TooLarge, "far more than weights do")


def test_what_is_no_model_names_the_formats(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    refused(rig, tmp_path / "notes.txt", Unprocessable, "known are a Gristmill bundle, .onnx, .keras")


def test_a_hub_that_cannot_be_reached_says_what_to_do(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    for source in ("hf://org/name", "hf://org/name/model.gguf"):
        refused(rig, source, Unavailable, "download the model where it can, and import its folder")
    monkeypatch.setitem(sys.modules, "mlflow.artifacts", None)  # as where MLflow is not installed
    refused(rig, "mlflow://wine/1", Unprocessable, "pip install 'gristmill\\[mlflow\\]', or import the model's folder")
    refused(rig, "s3://bucket/m", Unprocessable, "import hf://ORG/NAME or mlflow://NAME/VERSION")
