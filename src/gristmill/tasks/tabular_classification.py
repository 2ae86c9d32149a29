"""Rows of features → one of several classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gristmill.core.types import Signature
from gristmill.tasks.classification import Classification, adopted_labels, encode_labels, probability_outputs, ranked
from gristmill.tasks.columns import check_there
from gristmill.tasks.preprocessing import Preprocessing
from gristmill.tasks.protocol import Columns, Examples, ModelTensors, Tensors
from gristmill.tasks.tabular import adopt_features, feature_inputs, feature_specs, fit_features, parse_rows


class TabularClassification(Classification):
    name = "tabular-classification"

    def check_columns(self, names: Collection[str], target: str | None) -> None:
        check_there(names, target or "target")

    def examples(self, columns: Columns, target: str | None, labels: Sequence[str] | None = None) -> Examples:
        column = target or "target"
        inputs, features = feature_inputs(columns, column)
        targets, names = encode_labels(columns[column], labels, column)
        return Examples(inputs, targets, names, features)

    def signature(self, examples: Examples) -> Signature:
        assert examples.labels is not None
        return Signature(self.name, feature_specs(examples.inputs), probability_outputs(examples.labels),
                         examples.labels, examples.features)  # fmt: skip

    def fit_preprocessing(self, train: Examples, options: Mapping[str, Any]) -> Preprocessing:
        return fit_features(train.inputs, options)

    def adopt(self, model: ModelTensors) -> tuple[Signature, Preprocessing]:
        inputs, features, preprocessing = adopt_features(model)
        labels = adopted_labels(model)
        return Signature(self.name, inputs, probability_outputs(labels), labels, features), preprocessing

    def parse(self, payload: Any, content_type: str | None, signature: Signature) -> Tensors:
        return parse_rows(payload, signature.features or (), signature.inputs)

    def answers(self, outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[Any]:
        """The label of each row, as the Hugging Face task answers; with `top_k`, labels with scores."""
        rows = ranked(outputs, signature, parameters)
        return rows if "top_k" in parameters else [row[0]["label"] for row in rows]
