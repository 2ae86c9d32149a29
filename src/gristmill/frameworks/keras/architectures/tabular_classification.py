"""Architectures for rows of features → classes."""

from __future__ import annotations

from typing import Any

import keras

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.keras.architectures.mlp import perceptron


def mlp(shapes: Shapes, hidden: list[int] | None = None, dropout: float = 0.0) -> Any:
    features = keras.Input(shapes.row, name="features")
    return keras.Model(features, perceptron(features, shapes, hidden or [64, 64], dropout))


ARCHITECTURES = {"mlp": mlp}
