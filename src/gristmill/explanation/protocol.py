"""What is explained, and what an explanation is. No framework here: predictions come through a callable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from gristmill.core.types import Signature
from gristmill.tasks.preprocessing import Preprocessing
from gristmill.tasks.protocol import Tensors

Gradients = Callable[[Tensors, Tensors, np.ndarray, int], tuple[Tensors, np.ndarray]]


class Subject(NamedTuple):
    """A version as an explainer sees it.

    `predict`: model tensors of any number of rows → scores [N, K] (probabilities, or values for regression).
    `gradients`: the runtime's `integrated_gradients`, None where the framework has none.
    """

    signature: Signature
    preprocessing: Preprocessing
    predict: Callable[[Tensors], np.ndarray]
    gradients: Gradients | None


class Attribution(NamedTuple):
    """One row's attribution of output `target` in terms a user knows.

    `values`: float32; [F] by feature, [H, W] by pixel (channels summed), [T] by token, [window · S] by step and series.
    `names`: features, tokens, or the values of a history.
    `delta`: integrated gradients' convergence error, None for others.
    """

    method: str
    target: int
    score: float
    values: np.ndarray
    names: tuple[str, ...] | None
    delta: float | None


class Explainer(Protocol):
    """Registered in `gristmill.explainers`. Made with no arguments."""

    def explain(
        self, subject: Subject, inputs: Tensors, target: int | None, options: Mapping[str, Any]
    ) -> list[Attribution]:
        """Attribute each row of the raw `inputs`; `target` None explains the highest score. Raises Unprocessable."""
        ...
