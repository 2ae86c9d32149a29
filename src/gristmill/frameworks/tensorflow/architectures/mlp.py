"""Multi-layer perceptron: dense layers with ReLU and dropout between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.tensorflow.layers import Dense, dropped
from gristmill.frameworks.tensorflow.network import TensorFlowNetwork


class MLP(TensorFlowNetwork):
    """float32 [N, ...] → [N, outputs], times `target_std` plus `target_mean` where it answers in a target's unit."""

    def __init__(self, shapes: Shapes, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        chance = np.random.default_rng(shapes.seed)
        self._values, self._dropout = math.prod(shapes.row), dropout
        widths = (shapes.values, *hidden)
        self.layers = [Dense(chance, *pair) for pair in zip(widths, hidden, strict=False)]
        self.head = Dense(chance, widths[-1], shapes.outputs)

    def from_values(self, values: Any, x: Any, seed: Any | None) -> Any:
        state = tf.cast(tf.reshape(values, [-1, self._values]), self.compute)
        for place, layer in enumerate(self.layers):
            state = dropped(tf.nn.relu(layer(state)), self._dropout, seed, place)
        return tf.cast(self.head(state), tf.float32)
