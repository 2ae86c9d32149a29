"""Preprocessing of a series' history: scaled by its training rows, attributed value by value."""

from __future__ import annotations

import msgspec
import numpy as np

from gristmill.tasks.frame import Frame

HISTORY, FORECAST = "history", "forecast"  # what a version takes and gives
Tensors = dict[str, np.ndarray]


class ScaleSeries(msgspec.Struct, frozen=True, tag="scale-series"):
    """`history` [N, window, S] → (x − mean) / std, series by series.

    `targets`: the places among the `series` of those that are forecast.
    """

    series: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    targets: tuple[int, ...]
    window: int
    horizon: int
    season: int

    @property
    def frame(self) -> Frame:
        return Frame(self.window, self.horizon, self.season)

    def apply(self, raw: Tensors) -> Tensors:
        scaled = (raw[HISTORY] - np.asarray(self.mean, np.float32)) * (1 / np.asarray(self.std)).astype(np.float32)
        return {HISTORY: np.ascontiguousarray(scaled, np.float32)}

    def split(self, history: np.ndarray) -> np.ndarray:
        """Windows [N, window, S] of consecutive rows → those rows, scaled: [N + window − 1, S], each once."""
        return self.apply({HISTORY: rows_of(history)})[HISTORY]

    def attribute_back(self, attributions: Tensors, raw: Tensors) -> tuple[np.ndarray, list[tuple[str, ...]] | None]:
        """[N, window · S], each value named by its series and how many steps back it lies: `OT[-1]` is the last."""
        values = attributions[HISTORY]
        return values.reshape(len(values), -1), [self.names] * len(values)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the history's values, row by row."""
        return tuple(f"{name}[{back}]" for back in range(-self.window, 0) for name in self.series)

    def baseline(self, raw: Tensors) -> Tensors:
        """Every series at its training mean, which is zero once scaled."""
        return {HISTORY: np.zeros_like(raw[HISTORY], np.float32)}


def target_names(target: str | None, targets: np.ndarray) -> tuple[str, ...]:
    """Of forecast values [N, horizon(, T)]; the name of a single one may hold a comma itself."""
    return tuple((target or "").split(",")) if targets.ndim == 3 else (target or "",)


def rows_of(history: np.ndarray) -> np.ndarray:
    """The rows that windows [N, window, S] of consecutive rows overlap on; none of no window."""
    return np.concatenate([history[:, 0], *history[-1:, 1:]])


def fit_series(
    rows: np.ndarray, series: tuple[str, ...], targets: tuple[int, ...], frame: Frame
) -> ScaleSeries:  # fmt: skip
    """Mean and standard deviation by series of the training rows [R, S]."""
    mean, std = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    scale = np.where(std > 0, std, 1.0)
    return ScaleSeries(series, tuple(mean.tolist()), tuple(scale.tolist()), targets, *frame)
