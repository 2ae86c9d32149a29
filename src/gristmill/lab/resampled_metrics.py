"""The tasks' metrics over many weighted resamples at once; with every weight 1 each equals the task's own figure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from gristmill.lab.statistics import Resampled
from gristmill.tasks.protocol import Tensors
from gristmill.tasks.time_series_forecasting import errors_of

_BINS = 15


def classification(p: np.ndarray, y: np.ndarray) -> dict[str, Resampled]:
    """`p` [N, K] probabilities, `y` [N] classes → every metric of tasks/metrics.classification_metrics."""
    predicted, classes = p.argmax(axis=1), p.shape[1]
    right = (predicted == y).astype(np.float32)
    chosen = np.clip(p[np.arange(len(y)), y].astype(np.float64), np.finfo(np.float32).eps, 1)
    squares = ((p - np.eye(classes, dtype=np.float32)[y]) ** 2).sum(axis=1)
    by_class = partial(_by_class, predicted, y, classes)
    return {
        "accuracy": partial(_mean, right),
        "f1": lambda weights: _macro(by_class(weights), 2),
        "f1_weighted": lambda weights: _weighted_f1(by_class(weights)),
        "precision": lambda weights: _macro(by_class(weights), 0),
        "recall": lambda weights: _macro(by_class(weights), 1),
        "auc": _auc(p, y),
        "log_loss": partial(_mean, -np.log(chosen)),
        "brier": partial(_mean, squares),
        "calibration_error": _calibration_error(p, right),
    }


def regression(predicted: np.ndarray, y: np.ndarray) -> dict[str, Resampled]:
    """Every metric of tasks/metrics.regression_metrics."""
    error = predicted.astype(np.float64) - y.astype(np.float64)
    mse = partial(_mean, error**2)
    return {
        "mse": mse,
        "rmse": lambda weights: np.sqrt(mse(weights)),
        "mae": partial(_mean, np.abs(error)),
        "r2": partial(_r2, error**2, y.astype(np.float64) - y.mean(dtype=np.float64)),
    }


def forecasts(outputs: Tensors, y: np.ndarray) -> dict[str, Resampled]:
    """Every metric of tasks/metrics.forecast_metrics; windows are drawn, whole."""
    errors = errors_of(outputs, y)
    means = {name: partial(_mean, values.mean(axis=(1, 2))) for name, values in errors.items()}
    squares = partial(_mean, (errors["mae"] ** 2).mean(axis=(1, 2)))
    return {**means, "rmse": lambda weights: np.sqrt(squares(weights))}


def language(nll: np.ndarray, tokens: np.ndarray) -> dict[str, Resampled]:
    """Every metric of tasks/text_generation; texts are drawn, not tokens."""

    def loss(weights: np.ndarray) -> np.ndarray:
        return np.asarray(nll @ weights / np.maximum(tokens @ weights, 1.0))

    return {"loss_per_token": loss, "perplexity": lambda weights: np.exp(loss(weights))}


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(values @ weights / len(values))


def _r2(squares: np.ndarray, centred: np.ndarray, weights: np.ndarray) -> np.ndarray:
    rows = len(squares)
    total = (centred**2) @ weights / rows - (centred @ weights / rows) ** 2
    return np.where(total > 0, 1 - squares @ weights / rows / np.where(total > 0, total, 1), 0.0)


def _by_class(predicted: np.ndarray, y: np.ndarray, classes: int, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Precision, recall, F1, support and whether the class occurs, each [K, B]."""
    places = np.eye(classes, dtype=np.float32)
    support, called = places[y].T @ weights, places[predicted].T @ weights
    hit = (places[y] * (predicted == y)[:, None]).T @ weights
    precision, recall = _over(hit, called), _over(hit, support)
    return precision, recall, _over(2 * precision * recall, precision + recall), support, support + called > 0


def _over(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below > 0))


def _macro(figures: tuple[np.ndarray, ...], which: int) -> np.ndarray:
    present = figures[4]
    return np.asarray((figures[which] * present).sum(axis=0) / present.sum(axis=0))


def _weighted_f1(figures: tuple[np.ndarray, ...]) -> np.ndarray:
    _, _, f1, support, _ = figures
    return np.asarray((f1 * support).sum(axis=0) / support.sum(axis=0))


def _calibration_error(p: np.ndarray, right: np.ndarray) -> Resampled:
    confidence = p.max(axis=1)
    place = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.eye(_BINS, dtype=np.float32)[place] * (confidence - right)[:, None]
    return lambda weights: np.abs(gaps.T @ weights).sum(axis=0) / len(right)


def _auc(p: np.ndarray, y: np.ndarray) -> Resampled:
    classes = [1] if p.shape[1] == 2 else range(p.shape[1])
    areas = [_area(p[:, k], y == k) for k in classes]

    def auc(weights: np.ndarray) -> np.ndarray:
        # a class that a resample lacks, or holds alone, is left out of its mean
        each = np.stack([area(weights) for area in areas])
        known = np.isfinite(each)
        count = known.sum(axis=0)
        return np.where(count > 0, np.where(known, each, 0).sum(axis=0) / np.maximum(count, 1), 0.5)

    return auc


def _area(score: np.ndarray, positive: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Mann-Whitney over sorted scores: a positive beats the negatives below it and half of those it ties with."""
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    places = np.flatnonzero(positive[order])
    start, end = np.searchsorted(ordered, ordered[places], "left"), np.searchsorted(ordered, ordered[places], "right")
    rows, negative = order[places], (~positive[order]).astype(np.float32)[:, None]

    def area(weights: np.ndarray) -> np.ndarray:
        below = np.zeros((len(order) + 1, weights.shape[1]), np.float32)
        np.cumsum(weights[order] * negative, axis=0, out=below[1:])
        own = weights[rows]
        beaten = np.einsum("ib,ib->b", own, below[start] + below[end], dtype=np.float64) / 2
        pairs = own.sum(axis=0, dtype=np.float64) * below[-1]
        return np.asarray(np.divide(beaten, pairs, out=np.full_like(beaten, np.nan), where=pairs > 0))

    return area
