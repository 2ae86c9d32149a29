"""Optimisers by name: Keras's, which are TensorFlow's. Norms and biases are not decayed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from gristmill.tasks.recipe import Optimiser


class RatesByStep(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of each optimiser step, read from a table inside the graph."""

    def __init__(self, rates: Sequence[float]) -> None:
        self._rates = tf.constant(rates, tf.float32)

    def __call__(self, step: Any) -> Any:
        return tf.gather(self._rates, tf.minimum(tf.cast(step, tf.int32), len(self._rates) - 1))


def build_optimiser(optimiser: Optimiser, rates: Sequence[float], variables: Sequence[Any]) -> Any:
    """Built on `variables`, which it updates."""
    rate, decay = RatesByStep(rates), optimiser.weight_decay or None
    made: Any
    if optimiser.name == "sgd":
        made = keras.optimizers.SGD(rate, optimiser.momentum, optimiser.nesterov, weight_decay=decay)
    elif optimiser.name == "adafactor":
        made = keras.optimizers.Adafactor(rate, weight_decay=decay)
    else:
        made = keras.optimizers.AdamW(rate, decay, *optimiser.betas, optimiser.eps)
    plain = [variable for variable in variables if len(variable.shape) < 2]
    if decay and plain:
        made.exclude_from_weight_decay(var_list=plain)
    made.build(variables)
    return made
