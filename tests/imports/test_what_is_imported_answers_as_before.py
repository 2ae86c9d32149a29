from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import helper, numpy_helper
from safetensors.torch import save_file

from gristmill.bundles.manifest import write_manifest
from gristmill.bundles.replay import read_golden, write_golden
from gristmill.core.errors import Unprocessable
from gristmill.core.types import ReplicaSpec
from gristmill.frameworks.torch.architectures.shapes import Shapes, build
from gristmill.lab.package import manifest_with_files
from gristmill.serving.worker.version import load
from tests.imports.rig import CORE, Rig, external, onnx_model, program, save_onnx, small_model

X = np.random.default_rng(7).normal(size=(5, 4)).astype(np.float32)
PICTURES = np.random.default_rng(7).normal(size=(5, 3, 4)).astype(np.float32)


def test_an_onnx_file_says_its_signature_and_gives_its_answers(rig: Rig, tmp_path: Path) -> None:
    weights = onnx_model(tmp_path / "Linear Map.onnx")
    found = rig.bring(tmp_path / "Linear Map.onnx", licence="MIT")
    signature = found.manifest.signature
    assert [(one.name, one.dtype, one.shape) for one in (*signature.inputs, *signature.outputs)] == [
        ("x", "FP32", (-1, 4)),
        ("y", "FP32", (-1, 3)),
    ]
    assert (found.manifest.name, found.manifest.licence, found.manifest.parameters) == ("linear_map", "MIT", 12)
    assert found.manifest.lineage.imported_from == "Linear Map.onnx"
    np.testing.assert_allclose(found.version.outputs({"x": X})["y"], X @ weights, rtol=1e-5)
    inputs, outputs = read_golden(found.folder / "bundle")
    np.testing.assert_allclose(outputs["y"], inputs["x"] @ weights, rtol=1e-5)


def test_an_onnx_model_for_one_row_answers_many(rig: Rig, tmp_path: Path) -> None:
    weights = onnx_model(tmp_path / "one.onnx", batch=1)
    found = rig.bring(tmp_path / "one.onnx")
    assert found.manifest.signature.inputs[0].shape == (-1, 4)
    np.testing.assert_allclose(found.version.outputs({"x": X})["y"], X @ weights, rtol=1e-5)


def test_weights_beside_an_onnx_file_come_with_its_folder(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    weights = np.arange(12, dtype="<f4").reshape(4, 3)
    (folder / "weights.bin").write_bytes(weights.tobytes())
    save_onnx(folder / "m.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [external("weights.bin")])
    found = rig.bring(folder)
    np.testing.assert_allclose(found.version.outputs({"x": X})["y"], X @ weights, rtol=1e-5)


def test_a_classifier_gets_its_labels_and_keeps_its_own_softmax(rig: Rig, tmp_path: Path) -> None:
    weights = onnx_model(tmp_path / "c.onnx", softmax=True)
    found = rig.bring(tmp_path / "c.onnx", task="tabular-classification", labels=["a", "b", "c"])
    scores = np.exp(X @ weights)
    expected = scores / scores.sum(axis=1, keepdims=True)
    outputs = found.version.outputs({"features": X})
    np.testing.assert_allclose(outputs["probabilities"], expected, rtol=1e-4)
    answers = found.version.task.answers(outputs, found.manifest.signature, {})
    assert answers == ["abc"[place] for place in expected.argmax(axis=1)]


def single_output(path: Path, *, sigmoid: bool = True) -> Any:
    """A `.pt2` classifier whose one output tells of the second class."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Sigmoid() if sigmoid else torch.nn.Identity()).eval()
    batch = {0: torch.export.Dim("batch", min=1)}
    torch.export.save(torch.export.export(module, (torch.randn(2, 4),), dynamic_shapes=(batch,)), path)
    return module


def test_a_sigmoid_of_one_output_answers_with_both_classes(rig: Rig, tmp_path: Path) -> None:
    module = single_output(tmp_path / "m.pt2")
    found = rig.bring(tmp_path / "m.pt2", task="tabular-classification", labels=["no", "yes"])
    with torch.no_grad():
        yes = module(torch.from_numpy(X)).numpy()
    outputs = found.version.outputs({"features": X})
    np.testing.assert_allclose(outputs["probabilities"], np.concatenate([1 - yes, yes], axis=1), rtol=1e-5)
    answers = found.version.task.answers(outputs, found.manifest.signature, {})
    assert answers == ["yes" if one > 0.5 else "no" for one in yes[:, 0]]
    assert found.manifest.signature.outputs[0].shape == (-1, 2)


def test_a_keras_sigmoid_is_explained_by_gradients_that_add_up(rig: Rig, tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.save(tmp_path / "m.keras")
    version = rig.bring(tmp_path / "m.keras", task="tabular-classification", labels=["no", "yes"]).version
    expected = model.predict(X, verbose=0)
    both = version.outputs({"features": X})["probabilities"]
    np.testing.assert_allclose(both, np.concatenate([1 - expected, expected], axis=1), rtol=1e-5)
    inputs = version.preprocessing.apply({"features": X})
    ((name, values),) = inputs.items()
    for target in (0, 1):
        targets = np.full(len(X), target)
        found, _ = version.runtime.integrated_gradients(inputs, {name: np.zeros_like(values)}, targets, 64)
        gained = both[:, target] - version.outputs({"features": np.zeros_like(X)})["probabilities"][:, target]
        np.testing.assert_allclose(found[name].sum(axis=1), gained, atol=1e-4)


def test_a_sigmoid_a_label_is_asked_about_and_answered_as_it_is(rig: Rig, tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32), "w")
    save_onnx(tmp_path / "tags.onnx", [helper.make_node("MatMul", ["x", "w"], ["z"]),
                                       helper.make_node("Sigmoid", ["z"], ["y"])], [weights])  # fmt: skip
    told = {"task": "tabular-classification", "labels": ["a", "b", "c"]}
    with pytest.raises(Unprocessable, match=r"say --scores independent if a row may have several labels.*or --scores"):
        rig.bring(tmp_path / "tags.onnx", **told)
    found = rig.bring(tmp_path / "tags.onnx", **told, scores="independent")
    own = 1 / (1 + np.exp(-X @ numpy_helper.to_array(weights)))
    np.testing.assert_allclose(found.version.outputs({"features": X})["probabilities"], own, rtol=1e-4)


def test_a_model_of_several_values_a_row_is_no_regression(rig: Rig, tmp_path: Path) -> None:
    onnx_model(tmp_path / "m.onnx")
    with pytest.raises(Unprocessable, match=r"one number a row, and this model gives y FP32 .-1, 3.: import it with"):
        rig.bring(tmp_path / "m.onnx", task="tabular-regression")


def test_a_forecasting_model_forecasts_the_last_of_its_series(rig: Rig, tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6 * 2, 3))
    batch = {0: torch.export.Dim("batch", min=1)}
    torch.onnx.export(module, (torch.randn(2, 6, 2),), tmp_path / "m.onnx", dynamo=True, dynamic_shapes=(batch,),
                      input_names=["x"], output_names=["y"], external_data=False, verbose=False)  # fmt: skip
    found = rig.bring(tmp_path / "m.onnx", task="time-series-forecasting")
    assert [spec.shape for spec in (*found.manifest.signature.inputs, *found.manifest.signature.outputs)] == [
        (-1, 6, 2), (-1, 3),
    ]  # fmt: skip
    history = np.random.default_rng(3).normal(size=(4, 6, 2)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(history)).numpy()
    np.testing.assert_allclose(found.version.outputs({"history": history})["forecast"], expected, rtol=1e-4, atol=1e-5)
    onnx_model(tmp_path / "flat.onnx")
    with pytest.raises(Unprocessable, match=r"takes one tensor \[-1, window, series\] .* this one takes x FP32"):
        rig.bring(tmp_path / "flat.onnx", task="time-series-forecasting")


@pytest.mark.parametrize("precision", [torch.float16, torch.float64])
def test_a_classifier_of_another_precision_takes_and_gives_what_its_task_does(
    rig: Rig, tmp_path: Path, precision: torch.dtype
) -> None:
    module = torch.nn.Linear(4, 3).to(precision)
    batch = {0: torch.export.Dim("batch", min=1)}
    example = torch.randn(2, 4).to(precision)
    torch.export.save(torch.export.export(module, (example,), dynamic_shapes=(batch,)), tmp_path / "m.pt2")
    torch.jit.trace(module, example).save(tmp_path / "m.pt")  # type: ignore[no-untyped-call]
    told = {"task": "tabular-classification", "labels": ["a", "b", "c"]}
    takes = {"name": "x", "dtype": "FP16" if precision == torch.float16 else "FP64", "shape": [-1, 4]}
    expected = module(torch.from_numpy(X).to(precision)).softmax(dim=1).detach().float().numpy()
    for name, more in (("m.pt2", {}), ("m.pt", {"inputs": [takes]})):
        probabilities = rig.bring(tmp_path / name, **told, **more).version.outputs({"features": X})["probabilities"]
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, expected, atol=2e-3 if precision == torch.float16 else 1e-6)


@pytest.mark.parametrize(("sigmoid", "labels", "says"), [
    (False, ["no", "yes"], "leaves 0 to 1: end it in a sigmoid, give it two outputs, or import it with --task tensors"),
    (True, ["yes"], "The model has 2 classes, and there are 1 labels"),
])  # fmt: skip
def test_a_single_output_that_is_no_probability_or_has_no_two_names_is_refused(
    rig: Rig, tmp_path: Path, sigmoid: bool, labels: list[str], says: str
) -> None:
    single_output(tmp_path / "m.pt2", sigmoid=sigmoid)
    with pytest.raises(Unprocessable, match=says):
        rig.bring(tmp_path / "m.pt2", task="tabular-classification", labels=labels)
    assert rig.left_over() == set()


def test_an_onnx_model_of_several_outputs_gives_each_by_name(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    onnx_model(path)
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Relu", ["y"], ["positive"]))
    model.graph.output.append(helper.make_tensor_value_info("positive", onnx.TensorProto.FLOAT, ["batch", 3]))
    path.write_bytes(model.SerializeToString())
    outputs = rig.bring(path).version.outputs({"x": X})
    np.testing.assert_array_equal(outputs["positive"], np.maximum(outputs["y"], 0))


def test_an_exported_program_answers_as_its_module(rig: Rig, tmp_path: Path) -> None:
    module = program(tmp_path / "m.pt2")
    found = rig.bring(tmp_path / "m.pt2")
    (spec,) = found.manifest.signature.inputs
    assert (spec.dtype, spec.shape) == ("FP32", (-1, 3, 4))
    with torch.no_grad():
        expected = module(torch.from_numpy(PICTURES)).numpy()
    np.testing.assert_allclose(found.version.outputs({spec.name: PICTURES})["output"], expected, rtol=1e-5)


def test_torchscript_needs_its_inputs_named_and_answers_as_its_module(rig: Rig, tmp_path: Path) -> None:
    module = small_model()
    torch.jit.save(torch.jit.trace(module, torch.randn(2, 3, 4)), tmp_path / "m.pt")
    with pytest.raises(Unprocessable, match=r"give each input in order, as in --input"):
        rig.bring(tmp_path / "m.pt")
    found = rig.bring(tmp_path / "m.pt", inputs=[{"name": "x", "dtype": "FP32", "shape": [-1, 3, 4]}])
    with torch.no_grad():
        expected = module(torch.from_numpy(PICTURES)).numpy()
    np.testing.assert_allclose(found.version.outputs({"x": PICTURES})["output"], expected, rtol=1e-5)


def test_safetensors_fit_the_architecture_that_is_named(rig: Rig, tmp_path: Path) -> None:
    module = build("tabular-regression", {"name": "mlp", "hidden": [5]}, Shapes((4,), 1)).eval()
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    told = {"task": "tabular-regression", "inputs": [{"name": "features", "dtype": "FP32", "shape": [-1, 4]}]}
    found = rig.bring(tmp_path / "w.safetensors", architecture='{"name": "mlp", "hidden": [5]}', **told)
    with torch.no_grad():
        expected = module(torch.from_numpy(X)).numpy().reshape(-1, 1)
    np.testing.assert_allclose(found.version.outputs({"features": X})["prediction"], expected, rtol=1e-4)
    with pytest.raises(Unprocessable, match="weights of another architecture than 'mlp'"):
        rig.bring(tmp_path / "w.safetensors", architecture="mlp", **told)
    assert rig.left_over() == set()


def test_a_bundle_comes_back_with_its_golden_answers_replayed(rig: Rig, tmp_path: Path) -> None:
    onnx_model(tmp_path / "m.onnx")
    first = rig.bring(tmp_path / "m.onnx")
    carried = (first.folder / "bundle").rename(tmp_path / "carried")
    assert rig.bring(carried).manifest == first.manifest
    assert rig.bring(tmp_path / "carried", name="renamed").manifest.name == "renamed"


def test_a_bundle_whose_answers_changed_is_refused_with_the_largest_difference(rig: Rig, tmp_path: Path) -> None:
    weights = onnx_model(tmp_path / "m.onnx")
    found = rig.bring(tmp_path / "m.onnx")
    carried = (found.folder / "bundle").rename(tmp_path / "carried")
    changed = weights.copy()
    changed[0, 0] += 0.5
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    save_onnx(carried / "weights" / "model.onnx", [node], [numpy_helper.from_array(changed, "w")])
    write_manifest(carried, manifest_with_files(found.manifest, carried))  # as sound as any: only replay can tell
    inputs, _ = read_golden(carried)
    largest = float(np.abs(inputs["x"][:, 0] * 0.5).max())
    with pytest.raises(Unprocessable, match=rf"output 'y' differs by up to {largest:.2g}"):
        rig.bring(carried)
    assert rig.left_over() == set()


def test_a_worker_refuses_a_version_that_no_longer_gives_its_golden_answers(rig: Rig, tmp_path: Path) -> None:
    onnx_model(tmp_path / "m.onnx")
    found = rig.bring(tmp_path / "m.onnx")
    bundle = found.folder / "bundle"
    inputs, outputs = read_golden(bundle)
    write_golden(bundle, inputs, {"y": outputs["y"] + 0.25})
    digest = write_manifest(bundle, manifest_with_files(found.manifest, bundle))
    spec = ReplicaSpec(id="r", tenant="t", endpoint="e", model="m@1", digest=digest, bundle=str(bundle), socket="",
                       resources=CORE)  # fmt: skip
    with pytest.raises(Unprocessable, match=r"output 'y' differs by up to 0.25; it is refused"):
        load(spec)


def test_an_mlflow_model_is_read_by_the_format_inside_it(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "wine"
    folder.mkdir()
    weights = onnx_model(folder / "model.onnx")
    flavours = {"onnx": {"data": "model.onnx"}, "python_function": {"loader_module": "mlflow.onnx"}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours, "model_uuid": "1"}))
    found = rig.bring(folder)
    assert (found.manifest.runtime, found.manifest.name) == ("onnx", "wine")
    np.testing.assert_allclose(found.version.outputs({"x": X})["y"], X @ weights, rtol=1e-5)


def test_an_import_loads_no_framework_but_its_own(tmp_path: Path) -> None:
    onnx_model(tmp_path / "m.onnx")
    code = (
        "import sys; from pathlib import Path; from gristmill.lab.imports.formats import importer_of\n"
        "import gristmill.lab.imports.importing\n"
        f"importer_of(Path({str(tmp_path / 'm.onnx')!r}))\n"
        "print(sorted({'torch', 'keras', 'tensorflow', 'transformers', 'onnxruntime', 'mlflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_sizes_that_the_file_leaves_free_are_told(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    free = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3, "height", "width"])
    scores = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 3])
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["z"]), helper.make_node("Flatten", ["z"], ["y"])]
    graph = helper.make_graph(nodes, "g", [free], [scores])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    told = {"task": "image-classification", "labels": ["red", "green", "blue"]}
    with pytest.raises(Unprocessable, match="give its size with --input"):
        rig.bring(path, **told)
    with pytest.raises(Unprocessable, match="is not what the file says: x FP32"):
        rig.bring(path, inputs=[{"name": "x", "dtype": "FP32", "shape": [-1, 1, 8, 8]}], **told)
    with pytest.raises(Unprocessable, match="The model has no input 'image': it takes x FP32"):
        rig.bring(path, inputs=[{"name": "image", "dtype": "FP32", "shape": [-1, 3, 8, 8]}], **told)
    found = rig.bring(path, inputs=[{"name": "x", "dtype": "FP32", "shape": [-1, 3, 8, 8]}], **told)
    green = np.zeros((1, 8, 8, 3), np.uint8)
    green[..., 1] = 255
    assert found.version.outputs({"image": green})["probabilities"].argmax() == 1


def test_a_program_for_one_row_answers_many(rig: Rig, tmp_path: Path) -> None:
    module = small_model()
    torch.export.save(torch.export.export(module, (torch.randn(1, 3, 4),)), tmp_path / "one.pt2")
    found = rig.bring(tmp_path / "one.pt2")
    (spec,) = found.manifest.signature.inputs
    assert spec.shape == (-1, 3, 4)
    with torch.no_grad():
        expected = module(torch.from_numpy(PICTURES)).numpy()
    np.testing.assert_allclose(found.version.outputs({spec.name: PICTURES})["output"], expected, rtol=1e-5)
