"""Serving a `.keras` model, compiled once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path as Folder
from typing import Any

import numpy as np
import tensorflow as tf

from gristmill.bundles.manifest import Manifest
from gristmill.core.types import Resources
from gristmill.frameworks.keras.gradients import path_of
from gristmill.frameworks.keras.weights import load_model, output_names
from gristmill.frameworks.on_tensorflow.compiled import Compiled
from gristmill.frameworks.on_tensorflow.devices import use_granted
from gristmill.frameworks.on_tensorflow.gradients import Path
from gristmill.tasks.protocol import ModelOutput, Tensors


class KerasRuntime:
    """See frameworks/protocol.Runtime and Differentiable."""

    def __init__(self, model: Any, scores: str) -> None:
        self._model, self._scores = model, scores
        self._compiled = Compiled(_concrete(model))

    @classmethod
    def load(cls, bundle: Folder, manifest: Manifest, resources: Resources) -> KerasRuntime:
        use_granted(resources)
        return cls(load_model(bundle, manifest), manifest.signature.scores)

    def infer(self, inputs: Tensors) -> ModelOutput:
        return self._compiled(inputs)

    @cached_property
    def _path(self) -> Path:
        return path_of(self._model, self._scores)

    def integrated_gradients(
        self, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int
    ) -> tuple[Tensors, np.ndarray]:
        return self._path.attribute(inputs, baselines, targets, steps)

    def close(self) -> None:
        del self._model, self._compiled


def _concrete(model: Any) -> Any:
    """The whole forward pass as one graph function of the model's named inputs, batch and lengths open."""
    specs = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype, tensor.name) for tensor in model.inputs}
    names = output_names(model)

    def forward(**given: Any) -> dict[str, Any]:
        values = [given[name] for name in specs]
        output = model(values if len(values) > 1 else values[0], training=False)
        return dict(zip(names, tf.nest.flatten(output), strict=True))

    return tf.function(forward).get_concrete_function(**specs)
