"""Architectures for rows of features → a number."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.tensorflow.architectures.mlp import MLP
from gristmill.frameworks.tensorflow.network import TensorFlowNetwork


class ScaledMLP(MLP):
    """An MLP of the standardised target; answers in the target's own unit."""

    def __init__(self, shapes: Shapes, hidden: list[int], dropout: float) -> None:
        super().__init__(shapes, hidden, dropout)
        self.target_mean = tf.Variable(shapes.target_mean, trainable=False)
        self.target_std = tf.Variable(shapes.target_std, trainable=False)

    def from_values(self, values: Any, x: Any, seed: Any | None) -> Any:
        return super().from_values(values, x, seed) * self.target_std + self.target_mean


def mlp(shapes: Shapes, hidden: list[int] | None = None, dropout: float = 0.0) -> TensorFlowNetwork:
    return ScaledMLP(shapes, hidden or [64, 64], dropout)


ARCHITECTURES = {"mlp": mlp}
