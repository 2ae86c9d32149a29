"""Windows keep to their split, and MAE, RMSE and MASE are those of the definitions, computed here value by value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import Unprocessable
from gristmill.tasks.protocol import Examples
from gristmill.tasks.series import FORECAST, HISTORY, ScaleSeries
from gristmill.tasks.time_series_forecasting import TimeSeriesForecasting
from tests import waves

TASK = TimeSeriesForecasting()
OPTIONS = {"window": 24, "horizon": 6, "season": waves.PERIOD}


def columns(values: np.ndarray, names: str = "load heat rain") -> dict[str, np.ndarray]:
    return dict(zip(names.split(), values.T, strict=False))


def parts(rows: int) -> dict[str, np.ndarray]:
    train, held = rows * 7 // 10, rows * 85 // 100
    return {name: np.arange(*bounds) for name, bounds in
            (("train", (0, train)), ("validation", (train, held)), ("test", (held, rows)))}  # fmt: skip


def cut(values: np.ndarray, target: str = "load", **options: int) -> dict[str, Examples]:
    return TASK.windows(columns(values), target, parts(len(values)), OPTIONS | options)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 12), st.integers(60, 140), st.integers(1, 3))
def test_no_window_reaches_into_a_later_split(window: int, horizon: int, rows: int, series: int) -> None:
    assume(horizon <= rows * 85 // 100 - rows * 7 // 10)
    # each value is its own row's number, so that a window tells where it comes from
    numbers = np.arange(rows, dtype=np.float64)[:, None] + 1000 * np.arange(series) + (np.arange(rows) % 2)[:, None] / 4
    within = parts(rows)
    found = cut(numbers, window=window, horizon=horizon, season=1)
    for name, examples in found.items():
        begin, end = within[name][0], within[name][-1]
        history = np.floor(examples.inputs[HISTORY][:, :, 0]).astype(int)
        ahead = np.floor(examples.targets).astype(int)
        assert ahead.min() >= begin
        assert ahead.max() <= end
        assert (history[:, -1] + 1 == ahead[:, 0]).all(), "the targets follow the history"
        assert (np.diff(history, axis=1) == 1).all()
        assert (np.diff(ahead, axis=1) == 1).all()
        assert (ahead[0, 0], ahead[-1, -1]) == (max(begin, window), end), "no window is left out"
    assert np.floor(found["train"].inputs[HISTORY][:, :, 0]).max() <= within["train"][-1] - horizon


@pytest.mark.parametrize("season", [1, waves.PERIOD])
@pytest.mark.parametrize("target", ["load", "load,heat"])
def test_the_metrics_are_those_of_their_definitions(season: int, target: str) -> None:
    values = waves.values(200).astype(np.float32)
    test = cut(values, target, season=season)["test"]
    forecast = test.targets + np.random.default_rng(3).normal(0, 1, test.targets.shape).astype(np.float32)
    found = TASK.metrics({FORECAST: forecast, **(test.references or {})}, test.targets)
    errors, squares, scaled, naive, scaled_naive = [], [], [], [], []
    series = [values[:, "load heat".split().index(name)].tolist() for name in target.split(",")]
    for place, y in enumerate(series):
        scale = np.mean([abs(y[t] - y[t - season]) for t in range(season, 140)])  # the first 70 % of 200 rows
        for number, start in enumerate(range(170, 200 - 6 + 1)):
            for step in range(6):
                guess = forecast[number, step] if len(series) == 1 else forecast[number, step, place]
                repeated = y[start - season + step % season]
                errors.append(abs(float(guess) - y[start + step]))
                squares.append(errors[-1] ** 2)
                scaled.append(errors[-1] / scale)
                naive.append(abs(repeated - y[start + step]))
                scaled_naive.append(naive[-1] / scale)
    expected = {"mae": errors, "mase": scaled, "naive_mae": naive, "naive_mase": scaled_naive}
    assert found.pop("rmse") == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-5)
    assert found == pytest.approx({name: np.mean(each) for name, each in expected.items()}, rel=1e-5)


def test_the_naive_forecast_itself_has_a_mase_of_one_a_season_ahead_in_its_own_training_rows() -> None:
    values = waves.values(200)
    train = cut(values, horizon=1, window=1, season=1)["train"]
    assert train.references is not None
    found = TASK.metrics({FORECAST: train.references["naive"], **train.references}, train.targets)
    assert found["mase"] == pytest.approx(1.0, rel=1e-6)
    assert found["mase"] == found["naive_mase"]


def test_scaling_knows_the_training_rows_only() -> None:
    values = waves.values(200)
    later = values.copy()
    later[140:] += 1000.0
    fitted, again = (TASK.fit_preprocessing(cut(each)["train"], OPTIONS).step for each in (values, later))
    assert fitted == again
    assert isinstance(fitted, ScaleSeries)
    rows = values[: 140 - 6].astype(np.float32)  # what training windows see: the last targets are in no history
    np.testing.assert_allclose(fitted.mean, rows.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fitted.std, rows.std(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"window": 200}, "has 140 training rows, and a window of 200 with a horizon of 6 needs 206"),
        ({"horizon": 31}, "has 30 validation rows, fewer than the horizon of 31"),
        ({"season": 25}, "season is 25, longer than the window of 24"),
        ({"horizon": 0}, "horizon should be a whole number of 1 or more, and is 0"),
        ({"window": 2.5}, "window should be a whole number of 1 or more, and is 2.5"),
        ({"windw": 24}, "no field 'preprocessing.windw' for this task: did you mean 'window'"),
    ],
)
def test_a_frame_that_does_not_fit_the_series_is_told_in_one_sentence(options: dict[str, Any], says: str) -> None:
    with pytest.raises(Unprocessable, match=says):
        cut(waves.values(200), **options)


def test_what_never_changes_has_no_scale_and_is_refused() -> None:
    for values, season, says in (
        (np.full((200, 1), 3.0), 1, "'load' always repeats what it was 1 step before"),
        (np.tile(np.arange(12.0), 20)[:200, None], 12, "'load' always repeats what it was 12 steps before"),
    ):
        with pytest.raises(Unprocessable, match=says):
            cut(values, season=season)
