"""Serving a SavedModel in TensorFlow."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path as Folder
from typing import Any

import numpy as np
import tensorflow as tf

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import Resources
from gristmill.frameworks.on_tensorflow.compiled import Compiled
from gristmill.frameworks.on_tensorflow.devices import use_granted
from gristmill.frameworks.on_tensorflow.gradients import Path
from gristmill.frameworks.scores import scores_of
from gristmill.frameworks.tensorflow.gradients import path_of
from gristmill.frameworks.tensorflow.saved_model import SERVING
from gristmill.frameworks.tensorflow.weights import load_saved_model
from gristmill.tasks.protocol import ModelOutput, Tensors


class TensorFlowRuntime:
    """See frameworks/protocol.Runtime and Differentiable."""

    def __init__(self, model: Any, scores: str, resources: Resources) -> None:
        if SERVING not in model.signatures:
            raise CorruptBundle(f"The SavedModel has no signature {SERVING!r}.", file="weights/saved_model")
        self._model, self._serve, self._scores = model, model.signatures[SERVING], scores
        specs = list(self._serve.structured_input_signature[1].values())
        try:
            self._compiled = Compiled(lambda given: self._serve(**given), specs, resources)
        except (ValueError, tf.errors.OpError) as error:
            raise Unprocessable(
                "The SavedModel's graph cannot be frozen: it changes its own variables while it answers, or holds "
                "constants that do not fit the memory; export a graph that only computes.", field="source",
            ) from error  # fmt: skip

    @classmethod
    def load(cls, bundle: Folder, manifest: Manifest, resources: Resources) -> TensorFlowRuntime:
        use_granted(resources)
        return cls(load_saved_model(bundle, manifest), scores_of(manifest.signature), resources)

    def infer(self, inputs: Tensors) -> ModelOutput:
        return self._compiled(inputs)

    @cached_property
    def _path(self) -> Path:
        return path_of(self._model, self._serve, self._scores)

    def integrated_gradients(
        self, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int
    ) -> tuple[Tensors, np.ndarray]:
        return self._path.attribute(inputs, baselines, targets, steps)

    def close(self) -> None:
        del self._model, self._serve, self._compiled
