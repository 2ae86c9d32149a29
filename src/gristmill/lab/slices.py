"""Where a version is good and where not: by label, by quarter of the target, by confidence."""

from __future__ import annotations

from typing import Any

import numpy as np

from gristmill.lab.statistics import wilson

_BINS = 15


def by_label(predicted: np.ndarray, y: np.ndarray, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """Share of each true label's rows that are right, with its score interval; labels without rows are left out."""
    found = []
    for number, label in enumerate(labels):
        rows = int((y == number).sum())
        if rows:
            share = wilson(int(((y == number) & (predicted == number)).sum()), rows)
            found.append({"slice": label, "rows": rows, "accuracy": share.value, "low": share.low, "high": share.high})
    return found


def by_quarter(predicted: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """Mean absolute error and mean error by quarter of the target's values."""
    edges = np.quantile(y, (0.25, 0.5, 0.75))
    quarter = np.searchsorted(edges, y, side="left")
    error = predicted.astype(np.float64) - y
    found = []
    for number in range(4):
        here = quarter == number
        if here.any():
            low, high = float(y[here].min()), float(y[here].max())
            found.append(
                {
                    "slice": f"{low:.4g} to {high:.4g}",
                    "rows": int(here.sum()),
                    "mae": float(np.abs(error[here]).mean()),
                    "mean_error": float(error[here].mean()),
                }
            )
    return found


def reliability(p: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """Confidence of the top class against how often it is right, by equal-width bins that hold rows."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    place = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    return [
        {
            "low": number / _BINS,
            "high": (number + 1) / _BINS,
            "rows": int(here.sum()),
            "confidence": float(confidence[here].mean()),
            "accuracy": float(right[here].mean()),
        }
        for number in range(_BINS)
        if (here := place == number).any()
    ]
