"""The forecast that every other is held against: what was seen one season ago comes again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.tasks.frame import Frame


def naive_forecasts(series: np.ndarray, starts: np.ndarray, frame: Frame) -> np.ndarray:
    """Of `series` [R, T] for the windows whose first target is row `starts` [N]: [N, horizon, T].

    Step h repeats the last value seen at its place in the season: of season 1, the very last.
    """
    back = np.arange(frame.horizon) % frame.season - frame.season
    return np.asarray(series[starts[:, None] + back])


def naive_scale(train: np.ndarray, season: int, names: Sequence[str]) -> np.ndarray:
    """Mean absolute error [T] of the naive forecast one season ahead on the training rows [R, T] themselves.

    The scale of MASE: Hyndman, Koehler, "Another look at measures of forecast accuracy", International Journal of
    Forecasting 22 (2006), section 3. Raises Unprocessable where the naive forecast makes no error: there is no scale.
    """
    values = train.astype(np.float64)
    scale: np.ndarray = np.abs(values[season:] - values[:-season]).mean(axis=0)
    for name, error in zip(names, scale, strict=True):
        if not error > 0:
            raise Unprocessable(
                f"In the training rows {name!r} always repeats what it was {season} "
                f"{'step' if season == 1 else 'steps'} before: there is nothing left to forecast.", field=name,
            )  # fmt: skip
    return scale
