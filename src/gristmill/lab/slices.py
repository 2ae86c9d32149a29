"""Where a version is good and where not: by label, by quarter of the target, by step ahead, by confidence."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from gristmill.lab.statistics import wilson
from gristmill.tasks.protocol import Tensors
from gristmill.tasks.time_series_forecasting import errors_of

_BINS = 15
_STRETCHES = 6  # of the horizon


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


def by_step(outputs: Tensors, y: np.ndarray, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """A forecast's errors by how far ahead, in up to six stretches of the horizon, and by target where there are
    several; `names` [T] are the targets'."""
    errors = errors_of(outputs, y)
    horizon = y.shape[1]
    bounds = np.unique(np.round(np.linspace(0, horizon, min(horizon, _STRETCHES) + 1)).astype(int)).tolist()
    parts: dict[str, Any] = {
        f"step {begin + 1}" if end == begin + 1 else f"steps {begin + 1} to {end}": np.s_[:, begin:end]
        for begin, end in pairwise(bounds)
    }
    parts |= {name: np.s_[:, :, place] for place, name in enumerate(names)} if len(names) > 1 else {}
    return [
        {"slice": name, "rows": len(y)}
        | {metric: float(errors[metric][part].mean()) for metric in ("mae", "mase", "naive_mase")}
        for name, part in parts.items()
    ]


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
