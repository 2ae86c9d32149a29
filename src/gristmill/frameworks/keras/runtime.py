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
from gristmill.frameworks.scores import scores_of
from gristmill.tasks.protocol import ModelOutput, Tensors


class KerasRuntime:
    """See frameworks/protocol.Runtime and Differentiable."""

    def __init__(self, model: Any, scores: str, resources: Resources) -> None:
        self._model, self._scores = model, scores
        specs = [tf.TensorSpec(tensor.shape, tensor.dtype, tensor.name) for tensor in model.inputs]
        self._compiled = Compiled(self._forward, specs, resources)

    @classmethod
    def load(cls, bundle: Folder, manifest: Manifest, resources: Resources) -> KerasRuntime:
        use_granted(resources)
        return cls(load_model(bundle, manifest), scores_of(manifest.signature), resources)

    def _forward(self, given: dict[str, Any]) -> dict[str, Any]:
        values = list(given.values())
        output = self._model(values if len(values) > 1 else values[0], training=False)
        return dict(zip(output_names(self._model), tf.nest.flatten(output), strict=True))

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
