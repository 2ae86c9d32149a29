"""A user's own Keras model: built in the run's process, packaged as a `.keras` file that opens in safe mode."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.keras.archive import check_archive
from gristmill.frameworks.own_code import build_own, check_model
from gristmill.frameworks.protocol import OwnCode


def build_model(code: OwnCode, architecture: dict[str, Any], shapes: Shapes) -> Any:
    """Raises Unprocessable when it has not one input and [N, outputs], or layers that are not Keras's own."""
    model = build_own(code, architecture, shapes, keras.Model)
    place = f"{code.path.name}:{code.function}"
    if not model.built or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise Unprocessable(
            f"The model of {place} should be built with keras.Input, and have one input and one output.", field="model"
        )
    rows = np.zeros((3, *shapes.row), model.inputs[0].dtype)
    check_model(code, _output(model, rows, place), len(model.trainable_variables), shapes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / code.path.with_suffix(".keras").name
        model.save(path)  # what cannot be served is said before hours are spent on it
        check_archive(path)
    return model


def _output(model: Any, rows: np.ndarray, place: str) -> np.ndarray:
    try:
        return np.asarray(keras.ops.cast(model(rows, training=False), "float32"))
    except Exception as error:  # Keras raises whatever its layers raise
        first = str(error).strip().split("\n", 1)[0][:200]
        raise Unprocessable(f"The model of {place} does not compute with an input of shape {list(rows.shape)}: {first}",
                            field="model") from error  # fmt: skip
