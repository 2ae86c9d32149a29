"""Keras's architectures by name."""

from __future__ import annotations

from typing import Any

import keras

from gristmill.frameworks.architectures import Shapes, build_architecture
from gristmill.frameworks.keras.network import KerasNetwork
from gristmill.frameworks.keras.own_model import build_model
from gristmill.frameworks.protocol import OwnCode


def build(
    task: str, architecture: dict[str, Any], shapes: Shapes, precision: str, own: OwnCode | None = None
) -> KerasNetwork:
    """The functional model of `architecture` ({"name": ..., options}), with initial weights from the seed.

    Its layers are Keras's own, so that a `.keras` file of it opens in safe mode. Raises Unprocessable naming the
    option.
    """
    keras.utils.set_random_seed(shapes.seed % 2**32)
    standing = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bf16" else "float32")
    try:
        if own is not None:
            return KerasNetwork(build_model(own, architecture, shapes))
        return KerasNetwork(build_architecture(__package__, "Keras", task, architecture, shapes))
    finally:
        keras.config.set_dtype_policy(standing)
