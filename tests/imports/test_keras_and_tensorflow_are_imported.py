from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from gristmill.core.errors import Unprocessable
from gristmill.serving.worker.explaining import explanations
from gristmill.serving.worker.version import Version
from tests.imports.rig import Rig

PICTURES = np.random.default_rng(5).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
TOLD = {"task": "image-classification", "labels": ["cat", "dog"], "mean": MEAN, "std": STD}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), name="pixels"),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def expected(model: keras.Model) -> np.ndarray:
    return np.asarray(model((PICTURES / 255 - MEAN) / STD))


def test_a_keras_file_classifies_pictures_with_its_own_softmax_and_its_channels_last(
    rig: Rig, tmp_path: Path, model: keras.Model, expected: np.ndarray
) -> None:
    model.save(tmp_path / "pets.keras")
    found = rig.bring(tmp_path / "pets.keras", **TOLD)
    assert (found.manifest.runtime, found.manifest.parameters) == ("keras", model.count_params())
    outputs = found.version.outputs({"image": PICTURES})
    np.testing.assert_allclose(outputs["probabilities"], expected, rtol=1e-4)


def test_a_saved_model_classifies_pictures(rig: Rig, tmp_path: Path, model: keras.Model, expected: np.ndarray) -> None:
    model.export(tmp_path / "pets", verbose=False)
    found = rig.bring(tmp_path / "pets", **TOLD)
    assert (found.manifest.runtime, found.manifest.parameters) == ("tensorflow", model.count_params())
    outputs = found.version.outputs({"image": PICTURES})
    np.testing.assert_allclose(outputs["probabilities"], expected, rtol=1e-4)


def test_a_model_for_one_row_of_whole_numbers_answers_many_as_its_task_does(rig: Rig, tmp_path: Path) -> None:
    row = keras.Input(batch_shape=(1, 6), dtype="int32")
    hidden = keras.layers.Flatten()(keras.layers.Embedding(20, 4)(row))  # reshapes to its one row
    one = keras.Model(row, keras.layers.Dense(2)(hidden))
    one.save(tmp_path / "one.keras")
    one.export(tmp_path / "one", verbose=False)
    rows = np.random.default_rng(1).integers(0, 20, (3, 6))
    scores = np.exp(np.concatenate([one(rows[place : place + 1]) for place in range(3)]))
    ways = ((tmp_path / "one.keras", "integrated-gradients"), (tmp_path / "one", "occlusion"))
    for source, method in ways:  # a SavedModel does not say where its embedding is
        version = rig.bring(source, task="tabular-classification", labels=["a", "b"]).version
        raw = {"features": rows.astype(np.float32)}
        outputs = version.outputs(raw)
        np.testing.assert_allclose(outputs["probabilities"], scores / scores.sum(axis=1, keepdims=True), rtol=1e-4)
        worker = Version(version.manifest, version.task, version.preprocessing, version.runtime)
        first, second, _ = explanations(worker, raw, {}, lambda compute: compute())
        assert (first["method"], len(second["values"])) == (method, 6)


def test_a_keras_model_with_its_own_table_of_words_takes_texts(rig: Rig, tmp_path: Path) -> None:
    words = keras.layers.TextVectorization(output_sequence_length=4)
    words.adapt(["all is grist", "to the mill"])
    text = keras.Input((), dtype="string", name="text")
    model = keras.Model(text, keras.layers.Flatten()(keras.layers.Embedding(10, 2)(words(text))))
    model.save(tmp_path / "words.keras")
    texts = np.asarray([b"grist to the mill", b"all"], object)
    (given,) = rig.bring(tmp_path / "words.keras").version.outputs({"text": texts}).values()
    np.testing.assert_allclose(given, model(keras.ops.convert_to_tensor(texts.astype(bytes))), rtol=1e-6)


def test_labels_that_do_not_fit_are_refused(rig: Rig, tmp_path: Path, model: keras.Model) -> None:
    model.save(tmp_path / "pets.keras")
    with pytest.raises(Unprocessable, match="has 2 classes, and there are 3 labels"):
        rig.bring(tmp_path / "pets.keras", **{**TOLD, "labels": ["a", "b", "c"]})
    with pytest.raises(Unprocessable, match="give --labels FILE with one name a line"):
        rig.bring(tmp_path / "pets.keras", **{**TOLD, "labels": None})


def test_a_model_of_several_inputs_and_outputs_is_served_as_tensors_by_name(rig: Rig, tmp_path: Path) -> None:
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    outputs = {"sum": keras.layers.Add(name="sum")([a, b]), "max": keras.layers.Maximum(name="max")([a, b])}
    both = keras.Model([a, b], outputs)
    raw = {"a": np.asarray([[1, 2], [3, 4]], np.float32), "b": np.asarray([[4, 0], [0, 5]], np.float32)}
    both.save(tmp_path / "both.keras")
    both.export(tmp_path / "both", verbose=False)
    for source in (tmp_path / "both.keras", tmp_path / "both"):
        found = rig.bring(source)
        given = found.version.outputs({spec.name: raw[spec.name[0]] for spec in found.manifest.signature.inputs})
        values = sorted(given.values(), key=lambda one: float(one.sum()))
        np.testing.assert_array_equal(values[1], raw["a"] + raw["b"])
        np.testing.assert_array_equal(values[0], np.maximum(raw["a"], raw["b"]))
