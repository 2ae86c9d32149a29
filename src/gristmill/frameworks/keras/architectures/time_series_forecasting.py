"""Architectures for a history of series → the steps that follow, all at once."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from gristmill.frameworks.architectures import Shapes


def _forecaster(cell: type[Any], shapes: Shapes, hidden: int, depth: int, dropout: float) -> Any:
    """Layers over the history, dense from the last state. float32 [N, window, S] → [N, horizon · T].

    It learns how far each target moves from its last value (Zeng et al., AAAI 2023, "NLinear"), and answers in the
    data's own units.
    """
    history = keras.Input(shapes.row, name="history")
    last = history[:, -1:]
    states = ops.subtract(history, last)
    for place in range(depth):
        states = layers.Dropout(dropout)(states) if place else states
        states = cell(hidden, return_sequences=place + 1 < depth)(states)
    moved = layers.Dense(shapes.outputs, dtype="float32")(layers.Dropout(dropout)(states))
    places = list(shapes.targets) or [shapes.row[1] - 1]
    anchor = ops.take(last[:, 0], places * (shapes.outputs // len(places)), axis=1)
    unit = layers.Rescaling(*(np.asarray(values).tolist() for values in (shapes.target_std, shapes.target_mean)),
                            dtype="float32")  # fmt: skip
    return keras.Model(history, unit(layers.Add(dtype="float32")([anchor, moved])))


def lstm(shapes: Shapes, hidden: int = 64, layers: int = 1, dropout: float = 0.0) -> Any:
    return _forecaster(keras.layers.LSTM, shapes, hidden, layers, dropout)


def gru(shapes: Shapes, hidden: int = 64, layers: int = 1, dropout: float = 0.0) -> Any:
    return _forecaster(keras.layers.GRU, shapes, hidden, layers, dropout)


ARCHITECTURES = {"lstm": lstm, "gru": gru}
