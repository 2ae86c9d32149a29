"""A user's own Keras model: built in the run's process, packaged as a `.keras` file that opens in safe mode."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.keras.archive import check_archive
from gristmill.frameworks.own_code import build_own, check_output
from gristmill.frameworks.protocol import OwnCode


def build_model(code: OwnCode, architecture: dict[str, Any], shapes: Shapes) -> Any:
    """Raises Unprocessable when it has not one input and [N, outputs], or layers that are not Keras's own."""
    model = build_own(code, architecture, shapes, keras.Model)
    place = f"{code.path.name}:{code.function}"
    if not model.built or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise Unprocessable(
            f"The model of {place} should be built with keras.Input, and have one input and one output.", field="model"
        )
    check_output(code, tuple(model.outputs[0].shape), shapes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / code.path.with_suffix(".keras").name
        model.save(path)  # what cannot be served is said before hours are spent on it
        check_archive(path)
    return model
