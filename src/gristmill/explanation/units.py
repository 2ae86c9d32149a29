"""The units that an explanation speaks of (features, pixels, tokens), and how a model input loses some of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.explanation.protocol import Subject
from gristmill.tasks.preprocessing import NormaliseImage, Tokenise
from gristmill.tasks.protocol import Tensors
from gristmill.tasks.series import HISTORY
from gristmill.tasks.subwords import Subwords

_ROWS_A_BATCH = 256
_BYTES_A_BATCH = 8 * 2**20  # of model inputs: inside, a convolution widens a picture tenfold and more


class Units(NamedTuple):
    """Rows of the one model tensor `tensor`, and the `baseline` that stands for missing information.

    `shape`: of one row's units: (F,), (H, W), (T,), or (window · S,) of a history. `spread`: bool [M, *shape] → bool
    that broadcasts over M rows of the model tensor. `names`: each row's features or tokens; a row of tokens may have
    fewer than T. `grid`: (window, S) of a history.
    """

    tensor: str
    inputs: np.ndarray
    baseline: np.ndarray
    shape: tuple[int, ...]
    spread: Callable[[np.ndarray], np.ndarray]
    names: list[tuple[str, ...]] | None
    grid: tuple[int, int] | None = None

    def without(self, row: int, lost: np.ndarray) -> np.ndarray:
        """M copies of `row`, each without the units where `lost` [M, *shape] is True."""
        kept: np.ndarray = np.where(self.spread(lost), self.baseline[row], self.inputs[row])
        return kept

    def count(self, row: int) -> int:
        """How many units the row has."""
        return len(self.names[row]) if self.tensor == "tokens" and self.names else int(np.prod(self.shape))


def units_of(subject: Subject, raw: Tensors) -> Units:
    """Raises Unprocessable for a model tensor that is none of those that have a maker, and no rows of numbers."""
    model_inputs = subject.preprocessing.apply(raw)
    tensor, *others = model_inputs
    rows_of_numbers = model_inputs[tensor].ndim == 2 and model_inputs[tensor].dtype.kind in "fiu"
    if others or (tensor not in _MAKERS and not rows_of_numbers):
        raise Unprocessable(
            f"This version takes {', '.join(model_inputs)}: what can be explained takes one input of features, "
            "an image or a text."
        )
    return _MAKERS.get(tensor, _features)(subject, tensor, model_inputs[tensor], raw)


def scores_of(subject: Subject, tensor: str, rows: np.ndarray, target: int) -> np.ndarray:
    """Score of output `target` [M] of many model rows, computed in batches."""
    size = max(1, min(_ROWS_A_BATCH, _BYTES_A_BATCH * len(rows) // max(1, rows.nbytes)))
    parts = [subject.predict({tensor: rows[start : start + size]})[:, target] for start in range(0, len(rows), size)]
    return np.concatenate(parts).astype(np.float64)


def targets_of(subject: Subject, scores: np.ndarray, target: int | None) -> np.ndarray:
    """The output to explain, by row: `target`, or the highest; of a forecast the next step.

    Raises Unprocessable when there is none such.
    """
    if scores.ndim != 2:
        raise Unprocessable(
            f"This version's output has {scores.ndim} dimensions: what can be explained gives rows of scores."
        )
    outputs = scores.shape[1]
    if target is None:
        return np.zeros(len(scores), np.int64) if subject.signature.scores == "values" else scores.argmax(axis=1)
    if not 0 <= target < outputs:
        raise Unprocessable(
            f"`target` is {target}, and the model has outputs 0 to {outputs - 1}.",
            field="target", expected=f"0 to {outputs - 1}", got=target,
        )  # fmt: skip
    return np.full(len(scores), target)


def _features(subject: Subject, tensor: str, inputs: np.ndarray, raw: Tensors) -> Units:
    # What attribution of one model column alone comes back as, tells which feature owns the column (one-hot places).
    columns, _ = subject.preprocessing.attribute_back({tensor: np.eye(inputs.shape[1], dtype=np.float32)}, raw)
    owner = columns.argmax(axis=1)
    features = columns.shape[1]
    names = subject.signature.features or tuple(f"feature {place}" for place in range(features))
    baseline = subject.preprocessing.baseline(raw)[tensor]
    return Units(tensor, inputs, baseline, (features,), lambda lost: lost[:, owner], [names] * len(inputs))


def _image(subject: Subject, tensor: str, inputs: np.ndarray, raw: Tensors) -> Units:
    baseline = subject.preprocessing.baseline(raw)["image"]
    step = subject.preprocessing.step
    if isinstance(step, NormaliseImage) and step.channels_last:
        return Units("image", inputs, baseline, inputs.shape[1:3], lambda lost: lost[..., None], None)
    return Units("image", inputs, baseline, inputs.shape[2:], lambda lost: lost[:, None], None)


def _tokens(subject: Subject, tensor: str, inputs: np.ndarray, raw: Tensors) -> Units:
    """A lost token becomes the unknown one, so that the others keep their places; an unknown one becomes padding."""
    _, names = subject.preprocessing.attribute_back({"tokens": inputs.astype(np.float32)}, raw)
    step = subject.preprocessing.step
    assert isinstance(step, Tokenise | Subwords)
    instead = np.where(inputs == step.unknown, step.padding, step.unknown)
    baseline = np.where(inputs == step.padding, step.padding, instead)
    return Units("tokens", inputs, baseline, inputs.shape[1:], lambda lost: lost, names)


def _history(subject: Subject, tensor: str, inputs: np.ndarray, raw: Tensors) -> Units:
    """Each value of each series; a lost one becomes the baseline's."""
    _, names = subject.preprocessing.attribute_back({tensor: inputs}, raw)
    baseline = subject.preprocessing.baseline(raw)[tensor]
    steps, series = inputs.shape[1:]
    return Units(tensor, inputs, baseline, (steps * series,), lambda lost: lost.reshape(-1, steps, series), names,
                 (steps, series))  # fmt: skip


_MAKERS: dict[str, Callable[[Subject, str, np.ndarray, Tensors], Units]] = {
    "features": _features,
    "image": _image,
    "tokens": _tokens,
    HISTORY: _history,
}
