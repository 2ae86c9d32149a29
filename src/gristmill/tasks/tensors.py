"""Tensors in, tensors out: what a model without preprocessing and without a task of ours is served as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.core.types import DTYPES, Signature, TensorSpec
from gristmill.tasks.preprocessing import PassThrough, Preprocessing
from gristmill.tasks.protocol import Columns, Examples, ModelOutput, ModelTensors, Tensors

_NOT_TRAINED = "The task 'tensors' is for imported models: it knows no targets, and so it neither trains nor evaluates."


class TensorsInTensorsOut:
    name = "tensors"
    default_loss = ""
    primary_metric = ""
    higher_is_better = True

    def examples(self, columns: Columns, target: str | None, labels: Sequence[str] | None = None) -> Examples:
        raise Unprocessable(_NOT_TRAINED, field="task")

    def signature(self, examples: Examples) -> Signature:
        raise Unprocessable(_NOT_TRAINED, field="task")

    def fit_preprocessing(self, train: Examples, options: Mapping[str, Any]) -> Preprocessing:
        raise Unprocessable(_NOT_TRAINED, field="task")

    def adopt(self, model: ModelTensors) -> tuple[Signature, Preprocessing]:
        return Signature(self.name, model.inputs, model.outputs), Preprocessing(PassThrough())

    def parse(self, payload: Any, content_type: str | None, signature: Signature) -> Tensors:
        """{name: values}, or the values alone where there is one input; without the batch dimension it is one row."""
        names = [spec.name for spec in signature.inputs]
        if not isinstance(payload, dict):
            if len(names) != 1:
                raise Unprocessable(f"The inputs should be values by name: expected are {', '.join(names)}.",
                                    field="inputs", expected=names)  # fmt: skip
            payload = {names[0]: payload}
        if strange := sorted(payload.keys() ^ set(names)):
            what = "is missing" if strange[0] in names else "is unknown"
            raise Unprocessable(f"Input {strange[0]!r} {what}: expected are {', '.join(names)}.",
                                field=strange[0], expected=names)  # fmt: skip
        raw = {spec.name: _array(payload[spec.name], spec) for spec in signature.inputs}
        rows = {name: len(values) for name, values in raw.items()}
        if len(set(rows.values())) > 1:
            raise Unprocessable("The inputs differ in rows: each needs as many.", field="inputs", got=rows)
        return raw

    def outputs(self, model_output: ModelOutput, signature: Signature) -> Tensors:
        if isinstance(model_output, np.ndarray):
            return {signature.outputs[0].name: model_output}
        return {spec.name: model_output[spec.name] for spec in signature.outputs}

    def answers(self, outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[Any]:
        """Each row's values by output, or alone where there is one output."""
        names = [spec.name for spec in signature.outputs]
        rows = range(len(outputs[names[0]]))
        if len(names) == 1:
            return [_plain(outputs[names[0]][row]) for row in rows]
        return [{name: _plain(outputs[name][row]) for name in names} for row in rows]

    def metrics(self, outputs: Tensors, targets: np.ndarray) -> dict[str, float]:
        return {}


def _array(given: Any, spec: TensorSpec) -> np.ndarray:
    try:
        if spec.dtype == "BYTES":
            values = np.vectorize(lambda item: str(item).encode(), otypes=[object])(np.asarray(given, object))
        else:
            values = _numbers(np.asarray(given), np.dtype(DTYPES[spec.dtype]))
    except (TypeError, ValueError, OverflowError):
        raise Unprocessable(f"Input {spec.name!r} should be {spec.dtype} of shape {list(spec.shape)}.",
                            field=spec.name, expected=spec.dtype) from None  # fmt: skip
    if values.ndim == len(spec.shape) - 1:
        values = values[None]
    sizes = zip(spec.shape[1:], values.shape[1:], strict=False)
    if values.ndim != len(spec.shape) or any(want not in (-1, have) for want, have in sizes):
        raise Unprocessable(
            f"Input {spec.name!r} should have the shape {list(spec.shape)}, and has {list(values.shape)}.",
            field=spec.name, expected=list(spec.shape), got=list(values.shape),
        )  # fmt: skip
    array: np.ndarray = values
    return array


def _numbers(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Whole numbers into any integers that hold them; otherwise only what keeps its kind. Raises TypeError."""
    if values.dtype.kind in "iu" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if values.size and (values.min() < limits.min or values.max() > limits.max):
            raise OverflowError(f"beyond {dtype}")
        return values.astype(dtype)
    return values.astype(dtype, casting="same_kind")


def _plain(values: np.ndarray) -> Any:
    return [item.decode("utf-8", "replace") for item in values] if values.dtype == object else values.tolist()
