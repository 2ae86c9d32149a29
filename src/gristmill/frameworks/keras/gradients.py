"""Integrated gradients of a Keras model: at the embedding of its tokens, or at its real-valued input."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.on_tensorflow.gradients import Path, probabilities


def path_of(model: Any, scores: str) -> Path:
    """Raises Unprocessable when there is nothing to differentiate at."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise Unprocessable(
            "Gradients need one input and one output, and this Keras model has more: ask for the method occlusion.",
            field="method",
        )
    (given,) = model.inputs
    one_by_one = given.shape[0] == 1

    def cast(x: Any) -> Any:
        return tf.cast(x, given.dtype)

    if tf.as_dtype(given.dtype).is_floating:
        return Path(cast, lambda values, x: probabilities(model(values, training=False), scores), one_by_one)
    embedding = _embedding_of(model, given)
    rest = keras.Model([embedding.output, given], model.outputs[0])

    def score(values: Any, x: Any) -> Any:
        return probabilities(rest([values, cast(x)], training=False), scores)

    return Path(lambda x: embedding(cast(x)), score, one_by_one)


def _embedding_of(model: Any, tokens: Any) -> Any:
    for layer in model.layers:
        if isinstance(layer, keras.layers.Embedding) and layer.input is tokens:
            return layer
    raise Unprocessable(
        "Gradients of tokens are taken at their embedding, which this Keras model has not: ask for the method "
        "occlusion.", field="method",
    )  # fmt: skip
