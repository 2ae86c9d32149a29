"""What the classification tasks share: class targets, probabilities, ranked answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.core.types import Signature, TensorSpec
from gristmill.tasks.metrics import classification_metrics
from gristmill.tasks.protocol import ModelOutput, ModelTensors, Tensors, only, shapes_of


class Classification:
    """Logits [N, K] → `probabilities` FP32 [N, K]."""

    default_loss = "cross-entropy"
    primary_metric = "accuracy"
    higher_is_better = True

    def outputs(self, model_output: ModelOutput, signature: Signature) -> Tensors:
        """Softmax over the last dimension, or a sigmoid each, in float32, where the model has none of its own."""
        scores = only(model_output).astype(np.float32, copy=False)
        if signature.scores in ("probabilities", "independent"):
            return {"probabilities": scores}
        if signature.scores == "independent-logits":
            return {"probabilities": np.exp(-np.logaddexp(0, -scores))}
        if signature.scores == "probability":
            return {"probabilities": np.concatenate([1 - scores, scores], axis=-1)}
        shifted = scores - scores.max(axis=-1, keepdims=True)
        np.exp(shifted, out=shifted)
        shifted /= shifted.sum(axis=-1, keepdims=True)
        return {"probabilities": shifted}

    def metrics(self, outputs: Tensors, targets: np.ndarray) -> dict[str, float]:
        return classification_metrics(outputs["probabilities"], targets)


def probability_outputs(labels: Sequence[str]) -> tuple[TensorSpec, ...]:
    return (TensorSpec("probabilities", "FP32", (-1, len(labels)), 0.0, 1.0),)


def adopted_labels(model: ModelTensors) -> tuple[str, ...]:
    """The class names of a model that gives one tensor [N, K], or the second class's probability [N, 1].

    Raises Unprocessable when they are not K.
    """
    shapes = [spec.shape for spec in model.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise Unprocessable(
            f"A classifier gives one tensor of shape [-1, K], and this model gives {shapes_of(model.outputs)}: "
            "import it with --task tensors.", field="task",
        )  # fmt: skip
    if model.labels is None:
        raise Unprocessable("The file does not name its classes: give --labels FILE with one name a line.",
                            field="labels")  # fmt: skip
    single = shapes[0][1] == 1
    if single and (model.outputs[0].low, model.outputs[0].high) != (0.0, 1.0):
        raise Unprocessable(
            "A classifier of a single output gives a probability, and this one leaves 0 to 1: end it in a sigmoid, "
            "give it two outputs, or import it with --task tensors.", field="task",
        )  # fmt: skip
    classes = 2 if single else shapes[0][1]
    if classes not in (-1, len(model.labels)):
        raise Unprocessable(f"The model has {classes} classes, and there are {len(model.labels)} labels.",
                            field="labels", expected=classes, got=len(model.labels))  # fmt: skip
    return model.labels


def ranked(outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Per row the labels by falling score, `top_k` of them (5 where not given). Raises Unprocessable."""
    top_k = parameters.get("top_k", 5)
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
        raise Unprocessable(f"top_k should be a whole number of 1 or more, and is {top_k!r}.", field="top_k", got=top_k)
    labels = signature.labels or ()
    order = np.argsort(-outputs["probabilities"], axis=1, kind="stable")[:, :top_k]
    return [
        [{"label": labels[place], "score": float(row[place])} for place in places]
        for row, places in zip(outputs["probabilities"], order, strict=True)
    ]


def encode_labels(values: np.ndarray, labels: Sequence[str] | None, column: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Label values → int64 [N] and the class names, in the given order or sorted (numbers by value).

    Raises Unprocessable for missing labels, labels that training did not see, or a single class.
    """
    if values.dtype == object and any(value is None for value in values):
        row = next(row for row, value in enumerate(values) if value is None)
        raise Unprocessable(f"Column {column!r} has no label in row {row + 1}: every row needs one.", field=column)
    distinct, codes = np.unique(_plain(values, column), return_inverse=True)
    names = tuple(_name(value) for value in distinct)
    if labels is None:
        if len(names) < 2:
            raise Unprocessable(f"Column {column!r} has {len(names)} class: to classify takes 2 or more.", field=column)
        return codes.astype(np.int64), names
    place = {name: number for number, name in enumerate(labels)}
    strange = [name for name in names if name not in place]
    if strange:
        raise Unprocessable(
            f"Column {column!r} has the label {strange[0]!r}, unknown to the model: it knows {', '.join(labels)}.",
            field=column, got=strange[0], expected=list(labels),
        )  # fmt: skip
    return np.asarray([place[name] for name in names], np.int64)[codes], tuple(labels)


def _plain(values: np.ndarray, column: str) -> np.ndarray:
    if values.dtype == object:
        return np.asarray([_name(value) for value in values])
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise Unprocessable(f"Column {column!r} has no label in row {row + 1}: every row needs one.", field=column)
        if (values == np.round(values)).all():
            return values.astype(np.int64)
    return values


def _name(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
