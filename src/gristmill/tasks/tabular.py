"""What the tabular tasks share: rows of features in, whatever way they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.core.types import TensorSpec
from gristmill.tasks.columns import check_there
from gristmill.tasks.options import check_options
from gristmill.tasks.preprocessing import Preprocessing, Standardise, fit_columns, fit_standardise
from gristmill.tasks.protocol import ModelTensors, Tensors, shapes_of

Signed = tuple[TensorSpec, ...]


def feature_inputs(columns: Mapping[str, np.ndarray], target: str) -> tuple[Tensors, tuple[str, ...]]:
    """Columns but the target → `features` float32 [N, F] where all are numbers, else one input [N, 1] a column."""
    check_there(columns, target)
    features = {name: values for name, values in columns.items() if name != target}
    if not features:
        raise Unprocessable(f"The data has no column besides the target {target!r}: there is nothing to predict from.")
    if all(values.dtype != object for values in features.values()):
        return {"features": np.column_stack([values.astype(np.float32) for values in features.values()])}, tuple(
            features
        )
    return {name: _column(values) for name, values in features.items()}, tuple(features)


def feature_specs(inputs: Tensors) -> Signed:
    """NaN is a missing value and is imputed where the training rows had some (`allow_nan`)."""
    return tuple(
        TensorSpec(name, "BYTES" if values.dtype == object else "FP32", (-1, values.shape[1]),
                   allow_nan=values.dtype != object and bool(np.isnan(values).any()))
        for name, values in inputs.items()
    )  # fmt: skip


def fit_features(inputs: Tensors, options: Mapping[str, Any]) -> Preprocessing:
    """Standardised numbers, one-hot categories, medians for what is missing."""
    check_options(options, {})
    if set(inputs) == {"features"} and inputs["features"].dtype != object:
        return Preprocessing(fit_standardise(inputs["features"], impute=bool(np.isnan(inputs["features"]).any())))
    return Preprocessing(fit_columns(inputs))


def adopt_features(model: ModelTensors) -> tuple[Signed, tuple[str, ...], Preprocessing]:
    """Rows of numbers, as they are, into a model of one tensor [N, F]. Raises Unprocessable."""
    shapes = [spec.shape for spec in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] < 1:
        raise Unprocessable(
            f"A tabular model takes one tensor of shape [-1, F], and this one takes {shapes_of(model.inputs)}: "
            "import it with --task tensors.", field="task",
        )  # fmt: skip
    width = shapes[0][1]
    features = tuple(f"feature_{place}" for place in range(width))
    zeros, ones = (0.0,) * width, (1.0,) * width
    return (TensorSpec("features", "FP32", (-1, width)),), features, Preprocessing(Standardise(zeros, ones))


def parse_rows(payload: Any, features: Sequence[str], specs: Signed) -> Tensors:
    """Rows as Hugging Face's table, records by name, or lists in the order of training. Raises Unprocessable."""
    rows = _rows(payload, features)
    if len(specs) == 1 and specs[0].name == "features":
        return {"features": _numbers(rows, features, specs[0].allow_nan)}
    places = {name: place for place, name in enumerate(features)}
    return {spec.name: _values([row[places[spec.name]] for row in rows], spec) for spec in specs}


def _rows(payload: Any, features: Sequence[str]) -> list[Sequence[Any]]:
    if isinstance(payload, dict):
        table = payload.get("table") or payload.get("data") or payload
        if isinstance(table, dict) and table and all(isinstance(values, list) for values in table.values()):
            return _from_table(table, features)
        return [_from_record(table, features, 0)]
    if isinstance(payload, list) and payload:
        if all(isinstance(row, dict) for row in payload):
            return [_from_record(row, features, number) for number, row in enumerate(payload)]
        rows = payload if isinstance(payload[0], list) else [payload]
        for number, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != len(features):
                got = len(row) if isinstance(row, list) else row
                raise Unprocessable(f"Row {number} should have {len(features)} values, and has {got}.",
                                    field="inputs", expected=len(features), got=got)  # fmt: skip
        return rows
    raise Unprocessable("The inputs should be rows: a list of values, a list of lists, or values by feature name.",
                        field="inputs", got=type(payload).__name__)  # fmt: skip


def _from_table(table: Mapping[str, list[Any]], features: Sequence[str]) -> list[Sequence[Any]]:
    check_names(table, features, "The table")
    lengths = {name: len(table[name]) for name in features}
    if len(set(lengths.values())) != 1:
        raise Unprocessable("The table's columns differ in length: every feature needs one value a row.",
                            field="inputs", got=lengths)  # fmt: skip
    if not next(iter(lengths.values())):
        raise Unprocessable("The table has no rows: give at least one.", field="inputs", got=0)
    return list(zip(*(table[name] for name in features), strict=True))


def _from_record(record: Any, features: Sequence[str], number: int) -> Sequence[Any]:
    if not isinstance(record, dict):
        raise Unprocessable(
            f"Row {number} should be values by feature name.", field="inputs", got=type(record).__name__
        )
    check_names(record, features, f"Row {number}")
    return [record[name] for name in features]


def check_names(given: Mapping[str, Any], features: Sequence[str], where: str, kind: str = "feature") -> None:
    """Raises Unprocessable naming the first that lacks or is unknown."""
    for what, names in (
        (f"lacks the {kind}", set(features) - set(given)),
        (f"has the unknown {kind}", set(given) - set(features)),
    ):
        if names:
            name = sorted(names)[0]
            raise Unprocessable(f"{where} {what} {name!r}: expected are {', '.join(features)}.",
                                field=name, expected=list(features), got=sorted(given))  # fmt: skip


def _numbers(rows: list[Sequence[Any]], features: Sequence[str], allow_nan: bool) -> np.ndarray:
    try:
        values = np.asarray(rows, np.float32)
    except (TypeError, ValueError, OverflowError):
        values = np.asarray(
            [[_number(value, name) for value, name in zip(row, features, strict=True)] for row in rows], np.float32
        )
    wrong = np.isinf(values) if allow_nan else ~np.isfinite(values)
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        raise Unprocessable(
            f"{features[place]!r} in row {row} should be a finite number.",
            field=features[place],
            got=str(values[row, place]),
        )
    return values


def _number(value: Any, name: str) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool):
        return float(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Unprocessable(
            f"{name!r} should be a number, and is {value!r}.", field=name, expected="a number", got=value
        ) from None


def _values(values: list[Any], spec: TensorSpec) -> np.ndarray:
    if spec.dtype == "BYTES":
        return np.asarray([str(value).encode() for value in values], object)[:, None]
    return _numbers([[value] for value in values], [spec.name], spec.allow_nan)


def _column(values: np.ndarray) -> np.ndarray:
    if values.dtype != object:
        return values.astype(np.float32)[:, None]
    return np.asarray([value if isinstance(value, bytes) else str(value).encode() for value in values], object)[:, None]
