"""What a task is: how raw examples become tensors, and tensors become answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gristmill.core.types import Signature
from gristmill.tasks.preprocessing import Preprocessing

Tensors = dict[str, np.ndarray]  # by name; the first dimension of each is the batch
Columns = Mapping[str, np.ndarray]  # of a dataset: numbers, uint8 images [N,H,W,C], or objects (str, bytes)


class Examples(NamedTuple):
    """Raw examples of a task: `inputs` fit the signature's inputs; `targets` is int64 [N] (class) or float32 [N]."""

    inputs: Tensors
    targets: np.ndarray
    labels: tuple[str, ...] | None  # class names; None for regression
    features: tuple[str, ...] | None  # column names of a tabular input


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

    def outputs(self, model_output: np.ndarray, signature: Signature) -> Tensors:
        """The model's logits [N,K] or values [N,1] → the signature's outputs (`probabilities`, `prediction`)."""
        ...

    def answers(self, outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[Any]:
        """The signature's outputs → one JSON-able answer a row, in the Hugging Face task's own shape."""
        ...

    def metrics(self, outputs: Tensors, targets: np.ndarray) -> dict[str, float]:
        """Metrics by name over all rows; `primary_metric` is among them."""
        ...
