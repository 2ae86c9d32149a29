"""The last steps of one or more series → the next steps of some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.core.types import Signature, TensorSpec
from gristmill.tasks.frame import Frame
from gristmill.tasks.histories import parse_histories
from gristmill.tasks.metrics import forecast_errors, forecast_metrics
from gristmill.tasks.naive import naive_forecasts, naive_scale
from gristmill.tasks.preprocessing import Preprocessing
from gristmill.tasks.protocol import Columns, Examples, ModelOutput, ModelTensors, Tensors, only, shapes_of
from gristmill.tasks.series import FORECAST, HISTORY, ScaleSeries, fit_series, rows_of

NAIVE, SCALE = "naive", "scale"  # references of the metrics


class TimeSeriesForecasting:
    """All steps of the horizon at once. See tasks/protocol.Windowed."""

    name = "time-series-forecasting"
    default_loss = "mse"
    primary_metric = "mase"
    higher_is_better = False

    def examples(self, columns: Columns, target: str | None, labels: Sequence[str] | None = None) -> Examples:
        """Rows in time: `history` float32 [R, S] and targets float32 [R, T]; `target` may name several, with commas."""
        values, names = _series(columns), tuple(columns)
        targets = _targets(names, target)
        return Examples({HISTORY: values}, values[:, list(targets)], None, names,
                        target=",".join(names[place] for place in targets))  # fmt: skip

    def windows(
        self, columns: Columns, target: str | None, parts: Mapping[str, np.ndarray], options: Mapping[str, Any]
    ) -> dict[str, Examples]:
        frame, rows = Frame.of(options), self.examples(columns, target)
        _check_lengths({name: len(part) for name, part in parts.items()}, frame)
        names = [tuple(columns)[place] for place in _targets(tuple(columns), target)]
        scale = naive_scale(rows.targets[parts["train"]], frame.season, names)
        return {name: _windows(rows, part, frame, scale) for name, part in parts.items()}

    def options(self, preprocessing: Preprocessing) -> dict[str, Any]:
        assert isinstance(preprocessing.step, ScaleSeries)
        return preprocessing.step.frame._asdict()

    def signature(self, examples: Examples) -> Signature:
        """Of windows: `history` [N, window, S] → `forecast` [N, horizon], or [N, horizon, T] of several targets."""
        history = TensorSpec(HISTORY, "FP32", (-1, *examples.inputs[HISTORY].shape[1:]))
        forecast = TensorSpec(FORECAST, "FP32", (-1, *examples.targets.shape[1:]))
        return Signature(self.name, (history,), (forecast,), features=examples.features, target=examples.target,
                         scores="values")  # fmt: skip

    def fit_preprocessing(self, train: Examples, options: Mapping[str, Any]) -> Preprocessing:
        names = train.features
        assert names is not None
        rows = rows_of(train.inputs[HISTORY])
        return Preprocessing(fit_series(rows, names, _targets(names, train.target), Frame.of(options)))

    def adopt(self, model: ModelTensors) -> tuple[Signature, Preprocessing]:
        """A model of one tensor [N, window, S] in the data's own units; it forecasts the last of its series."""
        inputs, outputs = ([spec.shape[1:] for spec in specs] for specs in (model.inputs, model.outputs))
        fits = len(inputs) == len(outputs) == 1 and len(inputs[0]) == 2 and len(outputs[0]) in (1, 2)
        if not fits or min(*inputs[0], *outputs[0]) < 1 or (targets := ([*outputs[0], 1])[1]) > inputs[0][1]:
            raise Unprocessable(
                f"A forecasting model takes one tensor [-1, window, series] and gives one [-1, horizon], and this one "
                f"takes {shapes_of(model.inputs)} and gives {shapes_of(model.outputs)}: import it with --task tensors.",
                field="task",
            )  # fmt: skip
        (window, series), horizon = inputs[0], outputs[0][0]
        names = tuple(f"series_{place}" for place in range(series))
        step = ScaleSeries(names, (0.0,) * series, (1.0,) * series, tuple(range(series - targets, series)),
                           window, horizon, 1)  # fmt: skip
        signature = Signature(self.name, (TensorSpec(HISTORY, "FP32", (-1, window, series)),),
                              (TensorSpec(FORECAST, "FP32", (-1, *outputs[0])),), scores="values")  # fmt: skip
        return signature, Preprocessing(step)

    def parse(self, payload: Any, content_type: str | None, signature: Signature) -> Tensors:
        _, window, series = signature.inputs[0].shape
        names = signature.features or tuple(f"series_{place}" for place in range(series))
        return {HISTORY: parse_histories(payload, window, names)}

    def outputs(self, model_output: ModelOutput, signature: Signature) -> Tensors:
        """Values [N, horizon · T] in the data's own units."""
        values = only(model_output).astype(np.float32, copy=False)
        return {FORECAST: values.reshape(-1, *signature.outputs[0].shape[1:]) if signature.outputs else values}

    def answers(self, outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[Any]:
        """The values of each step; of several targets a list a step."""
        answers: list[Any] = outputs[FORECAST].tolist()
        return answers

    def metrics(self, outputs: Tensors, targets: np.ndarray) -> dict[str, float]:
        return forecast_metrics(outputs[FORECAST], targets, outputs[NAIVE], outputs[SCALE])


def errors_of(outputs: Tensors, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Absolute errors by metric, [N, horizon, T], of a version's outputs with their references."""
    return forecast_errors(outputs[FORECAST], targets, outputs[NAIVE], outputs[SCALE])


def _series(columns: Columns) -> np.ndarray:
    """float32 [R, S]. Raises Unprocessable for what is no finite number."""
    for name, values in columns.items():
        if values.dtype == object or values.ndim != 1:
            raise Unprocessable(f"Column {name!r} holds no numbers, and a series does.", field=name)
        wrong = np.flatnonzero(~np.isfinite(values.astype(np.float32)))
        if len(wrong):
            raise Unprocessable(f"Column {name!r} is not a finite number in row {wrong[0] + 1}.", field=name)
    return np.column_stack([values.astype(np.float32) for values in columns.values()])


def _targets(names: Sequence[str], target: str | None) -> tuple[int, ...]:
    """Places of the series to forecast. Raises Unprocessable."""
    if target is None and len(names) > 1:
        raise Unprocessable(f"Say which series to forecast with --target: there are {', '.join(names)}.",
                            field="target", expected=list(names))  # fmt: skip
    wanted = [target or names[0]] if target is None or target in names else [one.strip() for one in target.split(",")]
    for name in wanted:
        if name not in names or wanted.count(name) > 1:
            what = "no series" if name not in names else "twice the series"
            raise Unprocessable(f"The target names {what} {name!r}: there are {', '.join(names)}.",
                                field="target", expected=list(names))  # fmt: skip
    return tuple(names.index(name) for name in wanted)


def _check_lengths(rows: Mapping[str, int], frame: Frame) -> None:
    """A window and its targets lie within the training rows; of what is held out, the targets at least."""
    needed = frame.window + frame.horizon
    if rows["train"] < needed:
        raise Unprocessable(
            f"The series has {rows['train']} training rows, and a window of {frame.window} with a horizon of "
            f"{frame.horizon} needs {needed}: shorten them, or add more history.", field="preprocessing.window",
        )  # fmt: skip
    for name, count in rows.items():
        if 0 < count < frame.horizon:
            raise Unprocessable(
                f"The series has {count} {name} rows, fewer than the horizon of {frame.horizon}: shorten it, or add "
                "more history.", field="preprocessing.horizon",
            )  # fmt: skip


def _windows(rows: Examples, part: np.ndarray, frame: Frame, scale: np.ndarray) -> Examples:
    """Windows whose targets lie in `part`, consecutive rows; their history may begin before it. Views, not copies."""
    series, targets = rows.inputs[HISTORY], rows.targets
    begin, end = (int(part[0]), int(part[-1]) + 1) if len(part) else (frame.window, 0)
    first = max(begin, frame.window)
    starts = np.arange(first, max(first, end - frame.horizon + 1))
    history = np.lib.stride_tricks.sliding_window_view(series, frame.window, axis=0).swapaxes(1, 2)
    ahead, naive = targets[starts[:, None] + np.arange(frame.horizon)], naive_forecasts(targets, starts, frame)
    if len(scale) == 1:
        ahead, naive = ahead[..., 0], naive[..., 0]
    references = {NAIVE: naive, SCALE: np.broadcast_to(scale, (len(starts), len(scale)))}
    place = first - frame.window
    return rows._replace(inputs={HISTORY: history[place : place + len(starts)]}, targets=ahead, references=references)
