"""A graph ready to serve: one function of named tensors, its variables become constants."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from gristmill.tasks.protocol import ModelOutput, Tensors


class Compiled:
    """`function`: a concrete function whose inputs and outputs have names."""

    def __init__(self, function: Any) -> None:
        self._names = [spec.name for spec in function.structured_input_signature[1].values()]
        self._outputs = list(function.structured_outputs)
        self._call = _frozen(function)

    def __call__(self, inputs: Tensors) -> ModelOutput:
        """float32 [N, K] of a model with one output, or each by its name."""
        values = inputs.values() if len(inputs) == 1 else (inputs[name] for name in self._names)
        found = self._call(*(tf.constant(value) for value in values))
        if len(found) == 1:
            output = found[0].numpy()
            return output
        return {name: tensor.numpy() for name, tensor in zip(self._outputs, found, strict=True)}


def _frozen(function: Any) -> Any:
    return convert_variables_to_constants_v2(function)
