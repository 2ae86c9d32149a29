"""Rows of features → one number."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.core.types import Signature, TensorSpec
from gristmill.tasks.columns import check_there
from gristmill.tasks.metrics import regression_metrics
from gristmill.tasks.preprocessing import Preprocessing
from gristmill.tasks.protocol import Columns, Examples, ModelOutput, ModelTensors, Tensors, only, shapes_of
from gristmill.tasks.tabular import adopt_features, feature_inputs, feature_specs, fit_features, parse_rows


class TabularRegression:
    name = "tabular-regression"
    default_loss = "mse"
    primary_metric = "rmse"
    higher_is_better = False

    def check_columns(self, names: Collection[str], target: str | None) -> None:
        check_there(names, target or "target")

    def examples(self, columns: Columns, target: str | None, labels: Sequence[str] | None = None) -> Examples:
        column = target or "target"
        inputs, features = feature_inputs(columns, column)
        if columns[column].dtype == object:
            raise Unprocessable(f"Column {column!r} holds text: a regression's target is a number.", field=column)
        targets = columns[column].astype(np.float32)
        if not np.isfinite(targets).all():
            row = int(np.flatnonzero(~np.isfinite(targets))[0])
            raise Unprocessable(
                f"Column {column!r} is not a finite number in row {row + 1}.", field=column, got=str(targets[row])
            )
        return Examples(inputs, targets, None, features, column)

    def signature(self, examples: Examples) -> Signature:
        return Signature(self.name, feature_specs(examples.inputs), (TensorSpec("prediction", "FP32", (-1, 1)),),
                         features=examples.features, target=examples.target)  # fmt: skip

    def fit_preprocessing(self, train: Examples, options: Mapping[str, Any]) -> Preprocessing:
        return fit_features(train.inputs, options)

    def adopt(self, model: ModelTensors) -> tuple[Signature, Preprocessing]:
        inputs, features, preprocessing = adopt_features(model)
        if [spec.shape[1:] for spec in model.outputs] not in ([(1,)], [()]):
            raise Unprocessable(
                f"A regression gives one number a row, and this model gives {shapes_of(model.outputs)}: import it with "
                "--task tensors.", field="task",
            )  # fmt: skip
        prediction = (TensorSpec("prediction", "FP32", (-1, 1)),)
        return Signature(self.name, inputs, prediction, features=features), preprocessing

    def parse(self, payload: Any, content_type: str | None, signature: Signature) -> Tensors:
        return parse_rows(payload, signature.features or (), signature.inputs)

    def outputs(self, model_output: ModelOutput, signature: Signature) -> Tensors:
        """Values [N, 1] in the target's own unit."""
        return {"prediction": only(model_output).astype(np.float32, copy=False).reshape(-1, 1)}

    def answers(self, outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[Any]:
        return [float(value) for value in outputs["prediction"][:, 0]]

    def metrics(self, outputs: Tensors, targets: np.ndarray) -> dict[str, float]:
        return regression_metrics(outputs["prediction"][:, 0], targets)
