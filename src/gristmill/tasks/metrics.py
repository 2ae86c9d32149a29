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


def confusion(predicted: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """int64 [K, K]: rows are true classes, columns predicted ones."""
    return np.bincount(y * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    chosen = p[np.arange(len(y)), y].astype(np.float64)
    return float(-np.log(np.clip(chosen, np.finfo(np.float32).eps, 1)).mean())


def roc_auc(p: np.ndarray, y: np.ndarray) -> float:
    """One against the rest, mean over the classes that have both; the positive class's for two. 0.5 where none has."""
    classes = [1] if p.shape[1] == 2 else range(p.shape[1])
    areas = [area for k in classes if (area := _auc(p[:, k], y == k)) is not None]
    return float(np.mean(areas)) if areas else 0.5


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


def _auc(score: np.ndarray, positive: np.ndarray) -> float | None:
    """Mann-Whitney: mean rank of the positives, ties shared."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))
