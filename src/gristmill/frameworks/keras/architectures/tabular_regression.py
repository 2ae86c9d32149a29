"""Architectures for rows of features → a number."""

from __future__ import annotations

from typing import Any

import keras

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.keras.architectures.mlp import perceptron


def mlp(shapes: Shapes, hidden: list[int] | None = None, dropout: float = 0.0) -> Any:
    """Learns the standardised target and answers in the target's own unit."""
    features = keras.Input(shapes.row, name="features")
    standardised = perceptron(features, shapes, hidden or [64, 64], dropout)
    unit = keras.layers.Rescaling(shapes.target_std, shapes.target_mean, dtype="float32")
    return keras.Model(features, unit(standardised))


ARCHITECTURES = {"mlp": mlp}
