"""What an evaluation says: metrics with intervals, slices, calibration, and a paired test against a rival."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.lab import resampled_metrics
from gristmill.lab.blocks import block_length
from gristmill.lab.comparison import Paired, compare
from gristmill.lab.slices import by_label, by_quarter, by_step, reliability
from gristmill.lab.statistics import RESAMPLES, Interval, Resampled, bootstrap, percentile
from gristmill.tasks.metrics import confusion
from gristmill.tasks.protocol import Task, Tensors
from gristmill.tasks.series import FORECAST
from gristmill.tasks.text_generation import NLL, TOKENS
from gristmill.tasks.time_series_forecasting import errors_of


class EvaluateJob(NamedTuple):
    """Outputs of `subject` (and of `rival`) for the same rows: what `Task.outputs` gives, whole test split.

    `targets`: int64 [N] classes, float32 [N] values or [N, horizon(, T)] forecasts, whose references stand among the
    outputs; `labels`: class names, None for regression and forecasts. `names`: NAME@VERSION of the subject and of the
    rival, for the verdict's sentence; `series`: of a forecast, its targets.
    """

    task: Task
    subject: Tensors
    targets: np.ndarray
    labels: tuple[str, ...] | None
    seed: int
    names: tuple[str, str | None]
    rival: Tensors | None = None
    series: tuple[str, ...] = ()


def evaluate(job: EvaluateJob) -> dict[str, Any]:
    """A JSON-able report. Raises Unprocessable when there are no rows.

    `metrics`: {name: {value, low, high}}, 95 % percentile bootstrap; `slices`: by true label, by quarter of the
    target or by step ahead; `calibration`: reliability by bins of confidence; `confusion`: rows are true classes;
    `against` and `verdict` where there is a rival.
    """
    rows = len(job.targets)
    if rows == 0:
        raise Unprocessable("The test split has no rows: there is nothing to evaluate.", field="dataset")
    subject = _resampled(job, job.subject)
    block = _block(job)
    spread = bootstrap(subject, rows, np.random.default_rng(job.seed), block=block)
    values = job.task.metrics(job.subject, job.targets)
    report: dict[str, Any] = {
        "version": job.names[0],
        "rows": rows,
        "primary_metric": job.task.primary_metric,
        "higher_is_better": job.task.higher_is_better,
        "intervals": f"95 % percentile bootstrap{_of_blocks(block)}, {RESAMPLES} resamples",
        "metrics": {name: _figures(percentile(value, spread[name])) for name, value in values.items()},
        **_breakdown(job),
    }
    return report | (_against(job, job.rival, subject, values) if job.rival is not None else {})


def _block(job: EvaluateJob) -> int:
    """Rows that are drawn together: windows of a series share their targets' rows."""
    if FORECAST not in job.subject:
        return 1
    return block_length(_losses(job, job.subject), least=job.targets.shape[1])


def _of_blocks(block: int) -> str:
    return f" of blocks of {block} windows" if block > 1 else ""


def _breakdown(job: EvaluateJob) -> dict[str, Any]:
    if NLL in job.subject:
        return {}
    if FORECAST in job.subject:
        return {"slices": by_step(job.subject, job.targets, job.series)}
    if job.labels is None:
        return {"slices": by_quarter(job.subject["prediction"][:, 0], job.targets)}
    p = job.subject["probabilities"]
    return {
        "labels": list(job.labels),
        "slices": by_label(p.argmax(axis=1), job.targets, job.labels),
        "calibration": reliability(p, job.targets),
        "confusion": confusion(p.argmax(axis=1), job.targets, p.shape[1]).tolist(),
    }


def _against(
    job: EvaluateJob, rival: Tensors, subject: dict[str, Resampled], values: dict[str, float]
) -> dict[str, Any]:
    name = job.task.primary_metric
    other = job.task.metrics(rival, job.targets)
    paired = Paired(
        names=(job.names[0], job.names[1] or "the rival"),
        metric=name,
        higher_is_better=job.task.higher_is_better,
        values=(values[name], other[name]),
        resampled=(subject[name], _resampled(job, rival)[name]),
        losses=(_losses(job, job.subject), _losses(job, rival)),
        classes=job.labels is not None,
        error="scaled absolute errors" if FORECAST in rival else "squared errors",
        block=_block(job),
    )
    verdict, figures = compare(paired, np.random.default_rng(job.seed + 1))
    return {"verdict": verdict, "against": figures | {"metrics": other}}


def _losses(job: EvaluateJob, outputs: Tensors) -> np.ndarray:
    """By row: 0 or 1 for a class missed; the squared error of a value; a window's scaled absolute error; a text's log
    loss a token."""
    if FORECAST in outputs:
        return np.asarray(errors_of(outputs, job.targets)["mase"].mean(axis=(1, 2)))
    if NLL in outputs:
        return np.asarray(outputs[NLL] / np.maximum(outputs[TOKENS], 1.0))
    if job.labels is not None:
        return np.asarray(outputs["probabilities"].argmax(axis=1) != job.targets, np.float64)
    error = outputs["prediction"][:, 0].astype(np.float64) - job.targets
    return np.asarray(error * error)


def _resampled(job: EvaluateJob, outputs: Tensors) -> dict[str, Resampled]:
    """The metrics of `Task.metrics` by weights; one that is not known here is computed resample by resample."""
    if NLL in outputs:
        known = resampled_metrics.language(outputs[NLL], outputs[TOKENS])
    elif FORECAST in outputs:
        known = resampled_metrics.forecasts(outputs, job.targets)
    elif job.labels is None:
        known = resampled_metrics.regression(outputs["prediction"][:, 0], job.targets)
    else:
        known = resampled_metrics.classification(outputs["probabilities"], job.targets)
    names = job.task.metrics(outputs, job.targets)
    return {name: known.get(name) or _one_by_one(job, outputs, name) for name in names}


def _one_by_one(job: EvaluateJob, outputs: Tensors, name: str) -> Resampled:
    def statistic(weights: np.ndarray) -> np.ndarray:
        drawn = [np.repeat(np.arange(len(column)), column.astype(np.int64)) for column in weights.T]
        return np.asarray(
            [job.task.metrics({key: v[rows] for key, v in outputs.items()}, job.targets[rows])[name] for rows in drawn]
        )

    return statistic


def _figures(interval: Interval) -> dict[str, float]:
    return {name: round(value, 6) for name, value in interval._asdict().items()}
