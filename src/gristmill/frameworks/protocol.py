"""What a framework brings: a Trainer that makes weights, a Runtime that computes with them. One folder a framework."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from gristmill.bundles.manifest import Manifest
from gristmill.core.generation import LanguageFacts
from gristmill.core.types import Resources
from gristmill.tasks.protocol import ModelOutput, Tensors
from gristmill.tasks.recipe import Recipe
from gristmill.tasks.series import ScaleSeries


class Split(NamedTuple):
    """Model tensors (after preprocessing), targets and the metrics' references of one split.

    With a `window` the tensor holds a series' rows [N + window − 1, S], and example i is rows i to i + window − 1: side
    by side the examples, which overlap, would take `window` times the memory.
    """

    inputs: Tensors
    targets: np.ndarray
    references: Tensors | None = None
    window: int | None = None

    @property
    def row(self) -> tuple[int, ...]:
        """Shape of one example."""
        (values,) = self.inputs.values()
        return (*((self.window,) if self.window else ()), *values.shape[1:])

    def first(self, count: int) -> np.ndarray:
        """The first `count` examples of the one tensor."""
        (values,) = self.inputs.values()
        if self.window is None:
            return values[:count]
        return np.asarray(values[np.arange(min(count, len(self.targets)))[:, None] + np.arange(self.window)])


class OwnCode(NamedTuple):
    """`function` of the file `path` builds a model: it is called with the data's Shapes and the recipe's options."""

    path: Path
    function: str


class TrainJob(NamedTuple):
    """All that a trainer needs. `checkpoints` is the run's own folder: what it holds is resumed from."""

    recipe: Recipe
    train: Split
    validation: Split
    classes: int | None  # None for regression and forecasts
    vocabulary: int | None  # size of the token vocabulary, for text
    checkpoints: Path
    seed: int
    resources: Resources
    checkpoint_every_s: float
    own: OwnCode | None = None  # what builds the model in the architecture's place
    base: Path | None = None  # the verified bundle of the version that is trained on
    tokenizer: Path | None = None  # of a language model: the folder of its tokenizer's files, which go with the weights
    series: ScaleSeries | None = None  # of a forecast: how its history was scaled


class Watcher(Protocol):
    """The trainer's line to the run."""

    def metric(self, step: int, epoch: float, values: Mapping[str, float], total_steps: int) -> None: ...

    def checkpointed(self, step: int) -> None: ...

    def sample(self, step: int, text: str) -> None:
        """What a language model writes by now."""
        ...

    def cancelled(self) -> bool:
        """Asked at every step; when true, save a checkpoint and raise Cancelled."""
        ...


class Trained(NamedTuple):
    """What came out: the architecture as data, and the weight files written into a folder."""

    architecture: dict[str, Any]  # {"name": "mlp", ...config}: enough for the runtime to build it again
    runtime: str
    parameters: int
    metrics: dict[str, float]  # final and best: train/loss, validation/loss, ...
    steps: int
    language: LanguageFacts | None = None  # of a language model


class Cancelled(Exception):
    """Raised by a trainer after its checkpoint when the watcher says so."""


class Trainer(Protocol):
    """Registered in `gristmill.trainers` under the framework's name. Made with no arguments."""

    def train(self, job: TrainJob, watcher: Watcher, weights: Path) -> Trained:
        """Train from `job.checkpoints` on, or from the start; write the weights in a safe format into folder `weights`.

        The same job gives the same weights bit for bit on CPU, undisturbed or resumed.
        """
        ...


class Runtime(Protocol):
    """Registered in `gristmill.runtimes`. Holds one loaded version; called from one thread."""

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> Runtime:
        """Open a verified bundle. Runs no code from it. Raises CorruptBundle or Unprocessable with one sentence."""
        ...

    def infer(self, inputs: Tensors) -> ModelOutput:
        """Model tensors → the model's output, float32 [N, K] (logits or values), or several by name."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Differentiable(Protocol):
    """A runtime that can attribute its output by gradients."""

    def integrated_gradients(
        self, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int
    ) -> tuple[Tensors, np.ndarray]:
        """Attributions of output `targets[i]` of row i to its model inputs, and the convergence delta [N].

        Each attribution has its input's shape; for token ids [N, T] it is [N, T], summed over the embedding.
        Sundararajan, Taly, Yan, ICML 2017, "Axiomatic Attribution for Deep Networks".
        """
        ...
