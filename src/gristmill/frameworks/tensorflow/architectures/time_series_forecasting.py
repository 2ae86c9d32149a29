"""Architectures for a history of series → the steps that follow, all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.tensorflow.layers import Dense, dropped
from gristmill.frameworks.tensorflow.network import TensorFlowNetwork
from gristmill.frameworks.tensorflow.recurrent import GRU, LSTM


class Forecaster(TensorFlowNetwork):
    """Layers over the history, dense from the last state. float32 [N, window, S] → [N, horizon · T].

    It learns how far each target moves from its last value (Zeng et al., AAAI 2023, "NLinear"), and answers in the
    data's own units.
    """

    def __init__(
        self, cell: type[LSTM] | type[GRU], shapes: Shapes, hidden: int, layers: int, dropout: float
    ) -> None:  # fmt: skip
        super().__init__()
        chance = np.random.default_rng(shapes.seed)
        self.layers = [cell(chance, width, hidden) for width in (shapes.row[1], *[hidden] * (layers - 1))]
        self.head = Dense(chance, hidden, shapes.outputs)
        places = list(shapes.targets) or [shapes.row[1] - 1]
        self._places, self._dropout = places * (shapes.outputs // len(places)), dropout
        self.target_mean = tf.Variable(np.asarray(shapes.target_mean, np.float32), trainable=False)
        self.target_std = tf.Variable(np.asarray(shapes.target_std, np.float32), trainable=False)

    def from_values(self, values: Any, x: Any, seed: Any | None) -> Any:
        last = values[:, -1]
        state = tf.transpose(tf.cast(values - last[:, None], self.compute), [1, 0, 2])
        for place, layer in enumerate(self.layers):
            state = layer(dropped(state, self._dropout, seed, place) if place else state)
        moved = tf.cast(self.head(dropped(state[-1], self._dropout, seed, len(self.layers))), tf.float32)
        return (tf.gather(last, self._places, axis=1) + moved) * self.target_std + self.target_mean


def lstm(shapes: Shapes, hidden: int = 64, layers: int = 1, dropout: float = 0.0) -> TensorFlowNetwork:
    return Forecaster(LSTM, shapes, hidden, layers, dropout)


def gru(shapes: Shapes, hidden: int = 64, layers: int = 1, dropout: float = 0.0) -> TensorFlowNetwork:
    return Forecaster(GRU, shapes, hidden, layers, dropout)


ARCHITECTURES = {"lstm": lstm, "gru": gru}
