"""What a task is: how raw examples become tensors, and tensors become answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.core.types import Signature, TensorSpec
from gristmill.tasks.preprocessing import Preprocessing

Tensors = dict[str, np.ndarray]  # by name; the first dimension of each is the batch
Columns = Mapping[str, np.ndarray]  # of a dataset: numbers, uint8 images [N,H,W,C], or objects (str, bytes)


ModelOutput = np.ndarray | Tensors  # one array [N, ...], or each by its name where a model has several


def only(model_output: ModelOutput) -> np.ndarray:
    """The one output of a model whose task needs one. Raises Unprocessable when it has several."""
    if isinstance(model_output, np.ndarray):
        return model_output
    if len(model_output) != 1:
        raise Unprocessable(f"The model has the outputs {', '.join(model_output)}: its task needs one.")
    return next(iter(model_output.values()))


class ModelTensors(NamedTuple):
    """What an imported model says that it takes and gives, and what is known of its raw examples beside."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None  # of an image's channels, as fractions of 1
    std: tuple[float, ...] | None = None


def shapes_of(specs: Sequence[TensorSpec]) -> str:
    """`image FP32 [-1, 3, 32, 32], ...` for a sentence."""
    return ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in specs) or "nothing"


class Adopting(Protocol):
    """A task that takes models which were not trained here."""

    def adopt(self, model: ModelTensors) -> tuple[Signature, Preprocessing | None]:
        """How raw values become the model's own tensors; None where only the model's own file can say.

        Raises Unprocessable saying what lacks or does not fit.
        """
        ...


class Examples(NamedTuple):
    """Raw examples of a task: `inputs` fit the signature's inputs.

    `targets` is int64 [N] (class), float32 [N] (number) or float32 [N, horizon] or [N, horizon, T] (forecast).
    `references`, by row as the targets are: what the metrics hold the outputs against beside them.
    """

    inputs: Tensors
    targets: np.ndarray
    labels: tuple[str, ...] | None  # class names; None for regression
    features: tuple[str, ...] | None  # column names of a tabular input, or of series
    target: str | None = None  # the column of numbers, or the forecast series with commas; None for classes
    references: Tensors | None = None


@runtime_checkable
class Windowed(Protocol):
    """A task whose examples are stretches of rows that follow each other in time."""

    def windows(
        self, columns: Columns, target: str | None, parts: Mapping[str, np.ndarray], options: Mapping[str, Any]
    ) -> dict[str, Examples]:
        """Examples of each part (consecutive row numbers): their targets lie in it, their inputs not after it.

        `options` is the recipe's `preprocessing`. Raises Unprocessable where a part is too short.
        """
        ...

    def options(self, preprocessing: Preprocessing) -> dict[str, Any]:
        """What the recipe's `preprocessing` said of the windows that it was fitted on."""
        ...


@runtime_checkable
class Choosy(Protocol):
    """A task that needs columns of certain names."""

    def check_columns(self, names: Collection[str], target: str | None) -> None:
        """Raises Unprocessable where one lacks. `examples` asks the same."""
        ...


class Task(Protocol):
    """One file a task, registered in `gristmill.tasks`. Stateless: made with no arguments."""

    name: str
    default_loss: str
    primary_metric: str
    higher_is_better: bool

    def examples(self, columns: Columns, target: str | None, labels: Sequence[str] | None = None) -> Examples:
        """Raw columns → examples; `labels` fixes the class order (training's). Raises Unprocessable by column."""
        ...

    def signature(self, examples: Examples) -> Signature:
        """What a version trained on such examples takes and gives."""
        ...

    def fit_preprocessing(self, train: Examples, options: Mapping[str, Any]) -> Preprocessing:
        """Statistics of the training rows only; `options` is the recipe's `preprocessing`. Raises Unprocessable."""
        ...

    def parse(self, payload: Any, content_type: str | None, signature: Signature) -> Tensors:
        """One request's raw payload (decoded JSON `inputs`, or bytes of an image or text) → raw tensors of ≥ 1 rows.

        Raises Malformed or UnsupportedMediaType (broken image), Unprocessable (does not fit; names the field).
        """
        ...

    def outputs(self, model_output: ModelOutput, signature: Signature) -> Tensors:
        """The model's logits [N,K] or values [N,1] → the signature's outputs (`probabilities`, `prediction`)."""
        ...

    def answers(self, outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[Any]:
        """The signature's outputs → one JSON-able answer a row, in the Hugging Face task's own shape."""
        ...

    def metrics(self, outputs: Tensors, targets: np.ndarray) -> dict[str, float]:
        """Metrics by name over all rows; `primary_metric` is among them."""
        ...
