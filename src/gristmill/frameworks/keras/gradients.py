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
    if tf.as_dtype(given.dtype).is_floating:
        return Path(tf.identity, lambda values, x: probabilities(model(values, training=False), scores))
    embedding = _embedding_of(model, given)
    rest = keras.Model([embedding.output, given], model.outputs[0])
    return Path(embedding, lambda values, x: probabilities(rest([values, x], training=False), scores))


def _embedding_of(model: Any, tokens: Any) -> Any:
    for layer in model.layers:
        if isinstance(layer, keras.layers.Embedding) and layer.input is tokens:
            return layer
    raise Unprocessable(
        "Gradients of tokens are taken at their embedding, which this Keras model has not: ask for the method "
        "occlusion.", field="method",
    )  # fmt: skip
