"""Integrated gradients of a SavedModel: of those made here at the embedding, of others at real-valued inputs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.on_tensorflow.gradients import Path, probabilities


def path_of(model: Any, serve: Any, scores: str) -> Path:
    """`serve`: the model's serving signature. Raises Unprocessable when there is nothing to differentiate at."""
    if hasattr(model, "from_values") and hasattr(model, "embed"):
        return Path(model.embed, lambda values, x: probabilities(model.from_values(values, x), scores))
    specs = list(serve.structured_input_signature[1].values())
    if len(specs) != 1 or not specs[0].dtype.is_floating or len(serve.structured_outputs) != 1:
        raise Unprocessable(
            "Gradients need one real-valued input and one output, which this SavedModel has not: ask for the method "
            "occlusion.", field="method",
        )  # fmt: skip
    (name,), (output,) = serve.structured_input_signature[1], serve.structured_outputs
    return Path(
        lambda x: tf.cast(x, specs[0].dtype),
        lambda values, x: probabilities(serve(**{name: values})[output], scores),
        specs[0].shape[0] == 1,
    )
