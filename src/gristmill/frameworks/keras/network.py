"""A Keras model as the training step sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class KerasNetwork:
    """See frameworks/on_tensorflow/learner.Network. Keras's own seeds, which its dropout counts on, are `chance`."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.trainable: Sequence[Any] = [variable.value for variable in model.trainable_variables]
        self.weights: Sequence[Any] = [variable.value for variable in model.weights]
        weights = {id(variable) for variable in model.weights}
        self.chance: Sequence[Any] = [variable.value for variable in model.variables if id(variable) not in weights]

    def forward(self, x: Any, seed: Any | None) -> Any:
        return tf.cast(self.model(x, training=seed is not None), tf.float32)
