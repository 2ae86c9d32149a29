"""Multi-layer perceptron: dense layers with ReLU and dropout between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers

from gristmill.frameworks.architectures import Shapes


def perceptron(x: Any, shapes: Shapes, hidden: Sequence[int], dropout: float) -> Any:
    """[N, ...] → float32 [N, outputs]."""
    x = layers.Flatten()(x)
    for width in hidden:
        x = layers.Dense(width, activation="relu")(x)
        x = layers.Dropout(dropout)(x) if dropout else x
    return layers.Dense(shapes.outputs, dtype="float32")(x)
