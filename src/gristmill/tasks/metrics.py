"""Metrics, as published and as scikit-learn computes them; numpy only. `p` [N, K] probabilities, `y` [N] classes."""

from __future__ import annotations

import numpy as np


def classification_metrics(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy, F1 (macro, weighted), precision, recall (macro), ROC AUC, log loss, Brier, calibration error."""
    predicted = p.argmax(axis=1)
    precision, recall, f1, support = _by_class(predicted, y, p.shape[1])
    present = (support + np.bincount(predicted, minlength=p.shape[1])) > 0
    return {
        "accuracy": float((predicted == y).mean()),
        "f1": float(f1[present].mean()),
        "f1_weighted": float((f1 * support).sum() / support.sum()),
        "precision": float(precision[present].mean()),
        "recall": float(recall[present].mean()),
        "auc": roc_auc(p, y),
        "log_loss": log_loss(p, y),
        "brier": float(((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1).mean()),
        "calibration_error": calibration_error(p, y),
    }


def regression_metrics(predicted: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """MSE, RMSE, MAE and R² (1 − residual / total sum of squares; NaN-free: 0 for a constant target)."""
    error = predicted.astype(np.float64) - y.astype(np.float64)
    mse = float((error**2).mean())
    total = float(((y - y.mean(dtype=np.float64)) ** 2).mean())
    r2 = 1 - mse / total if total > 0 else 0.0
    return {"mse": mse, "rmse": float(np.sqrt(mse)), "mae": float(np.abs(error).mean()), "r2": r2}


def forecast_metrics(forecast: np.ndarray, y: np.ndarray, naive: np.ndarray, scale: np.ndarray) -> dict[str, float]:
    """MAE, RMSE and MASE of forecasts [N, horizon(, T)] of N windows, and the naive forecast's own MAE and MASE.

    `scale` [N, T]: what MASE divides each target's error by (Hyndman, Koehler 2006; see tasks/naive).
    """
    found = forecast_errors(forecast, y, naive, scale)
    means = {name: float(errors.mean()) for name, errors in found.items()}
    return means | {"rmse": float(np.sqrt((found["mae"] ** 2).mean()))}


def forecast_errors(forecast: np.ndarray, y: np.ndarray, naive: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
    """By the name of the metric that is their mean, the absolute errors of each value: float64 [N, horizon, T]."""
    shape = (len(y), y.shape[1], scale.shape[1])
    error, of_naive = (
        np.abs(values.reshape(shape).astype(np.float64) - y.reshape(shape)) for values in (forecast, naive)
    )
    unit = scale[:, None, :]
    return {"mae": error, "mase": error / unit, "naive_mae": of_naive, "naive_mase": of_naive / unit}


def confusion(predicted: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """int64 [K, K]: rows are true classes, columns predicted ones."""
    return np.bincount(y * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    chosen = p[np.arange(len(y)), y].astype(np.float64)
    return float(-np.log(np.clip(chosen, np.finfo(np.float32).eps, 1)).mean())


def roc_auc(p: np.ndarray, y: np.ndarray) -> float:
    """One against the rest, mean over the classes that have both; the positive class's for two. 0.5 where none has.

    Mann-Whitney: from the mean rank of the positives, ties shared; all classes' columns are ranked at once.
    """
    positive = y[:, None] == np.arange(p.shape[1])
    scores, positive = (p[:, 1:], positive[:, 1:]) if p.shape[1] == 2 else (p, positive)
    positives = positive.sum(axis=0)
    negatives = len(y) - positives
    both = (positives > 0) & (negatives > 0)
    if not both.any():
        return 0.5
    rank_sums = (_shared_ranks(scores) * positive).sum(axis=0)[both]
    positives, negatives = positives[both], negatives[both]
    return float(np.mean((rank_sums - positives * (positives + 1) / 2) / (positives * negatives)))


def calibration_error(p: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of the top class over equal-width bins (Guo et al., ICML 2017)."""
    confidence = p.max(axis=1)
    right = p.argmax(axis=1) == y
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(y))


def _by_class(predicted: np.ndarray, y: np.ndarray, classes: int) -> tuple[np.ndarray, ...]:
    table = confusion(predicted, y, classes)
    hit, support, called = np.diag(table).astype(np.float64), table.sum(axis=1), table.sum(axis=0)
    precision = np.divide(hit, called, out=np.zeros(classes), where=called > 0)
    recall = np.divide(hit, support, out=np.zeros(classes), where=support > 0)
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros(classes), where=both > 0)
    return precision, recall, f1, support


def _shared_ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks from 1 within each column of [N, K], the mean rank for ties (scipy's `rankdata`, method "average")."""
    order = scores.argsort(axis=0)
    ordered = np.take_along_axis(scores, order, axis=0)
    place = np.arange(len(scores))[:, None]
    fresh = np.ones(scores.shape, bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    last = np.ones(scores.shape, bool)
    last[:-1] = fresh[1:]
    begin = np.maximum.accumulate(np.where(fresh, place, 0), axis=0)
    end = np.minimum.accumulate(np.where(last, place, len(scores))[::-1], axis=0)[::-1]
    ranks = np.empty(scores.shape)
    np.put_along_axis(ranks, order, (begin + end) / 2 + 1, axis=0)
    return ranks
