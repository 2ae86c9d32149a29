"""Errors of windows that overlap hang together: intervals and paired tests that took them as independent would lie."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gristmill.lab import resampled_metrics
from gristmill.lab.blocks import block_length, block_resamplings, by_block
from gristmill.lab.evaluate import EvaluateJob, evaluate
from gristmill.lab.statistics import bootstrap
from gristmill.tasks.protocol import Examples, Tensors
from gristmill.tasks.series import FORECAST
from gristmill.tasks.time_series_forecasting import TimeSeriesForecasting
from tests import waves
from tests.tasks.test_forecasts_are_held_against_the_naive_one import cut

TASK = TimeSeriesForecasting()


def correlated(rows: int, share: float, seed: int) -> np.ndarray:
    """An autoregression of order one, from its stationary distribution."""
    noise = np.random.default_rng(seed).normal(size=rows)
    values = np.empty(rows)
    values[0] = noise[0] / np.sqrt(1 - share**2)
    for row in range(1, rows):
        values[row] = share * values[row - 1] + noise[row]
    return values


def forecasts(noise: float, test: Examples, seed: int) -> Tensors:
    moved = np.random.default_rng(seed).normal(0, noise, test.targets.shape).astype(np.float32)
    return {FORECAST: test.targets + moved, **(test.references or {})}


def job(rows: int = 900, noise: float = 0.5, rival: float | None = None, target: str = "load") -> EvaluateJob:
    test = cut(waves.values(rows), target)["test"]
    other = None if rival is None else forecasts(rival, test, 2)
    series = tuple(target.split(","))
    names = ("load@2", "load@1")
    return EvaluateJob(TASK, forecasts(noise, test, 1), test.targets, None, 7, names, other, series)


def test_each_draw_has_as_many_windows_in_whole_blocks_and_none_is_favoured() -> None:
    drawn = np.concatenate(list(block_resamplings(50, 4000, 8, np.random.default_rng(0))), axis=1)
    assert drawn.shape == (50, 4000)
    assert (drawn.sum(axis=0) == 50).all()
    np.testing.assert_allclose(drawn.mean(axis=1), 1.0, atol=0.1)
    (one,) = block_resamplings(50, 1, 25, np.random.default_rng(1))
    ends = np.flatnonzero(np.diff(np.concatenate([one[-1:, 0], one[:, 0]])))
    assert len(ends) <= 4, "two blocks have at most four ends"


def test_the_spread_is_that_of_the_mean_of_correlated_errors() -> None:
    # the variance of the mean is known: sigma² (1 + share) / (1 - share) / N for large N
    rows, share = 1500, 0.8
    known = np.sqrt(1 / (1 - share) ** 2 / rows)
    ratios, alone = [], []
    for seed in range(12):
        values = correlated(rows, share, seed)
        mean = {"mean": lambda weights, values=values: values @ weights / rows}
        block = block_length(values, 1)
        ratios.append(bootstrap(mean, rows, np.random.default_rng(seed), 400, block)["mean"].std() / known)
        alone.append(bootstrap(mean, rows, np.random.default_rng(seed), 400)["mean"].std() / known)
    assert np.median(ratios) == pytest.approx(1.0, abs=0.2)
    assert np.median(alone) < 0.5, "drawn one by one they seem far surer than they are"


def test_blocks_grow_with_the_correlation_and_hold_what_overlaps_at_least() -> None:
    lengths = [block_length(correlated(2000, share, 1), 1) for share in (0.0, 0.5, 0.9)]
    assert lengths[0] <= 3
    assert lengths[0] < lengths[1] < lengths[2]
    assert block_length(correlated(2000, 0.0, 1), 24) == 24
    assert block_length(np.ones(100), 6) == 6
    assert block_length(np.arange(3.0), 6) == 1
    assert block_length(correlated(40, 0.99, 1), 30) == 20, "at most half of the windows"


def test_sums_by_block_lose_nothing() -> None:
    values = np.arange(10.0)
    assert by_block(values, 4).tolist() == [6.0, 22.0, 17.0]
    assert by_block(values, 1).tolist() == values.tolist()


@pytest.mark.parametrize("target", ["load", "load,heat"])
def test_a_resampled_metric_is_the_tasks_own_of_the_windows_drawn(target: str) -> None:
    one = job(target=target)
    rows = np.random.default_rng(3).integers(len(one.targets), size=len(one.targets))
    weights = np.bincount(rows, minlength=len(rows)).astype(np.float32)[:, None]
    drawn = {name: values[rows] for name, values in one.subject.items()}
    found = resampled_metrics.forecasts(one.subject, one.targets)
    for name, value in TASK.metrics(drawn, one.targets[rows]).items():
        assert found[name](weights)[0] == pytest.approx(value, rel=1e-5), name


def test_a_report_tells_its_blocks_and_the_error_by_step() -> None:
    report = evaluate(job(target="load,heat"))
    assert report == evaluate(job(target="load,heat"))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["primary_metric"] == "mase"
    assert "of blocks of " in report["intervals"]
    assert int(report["intervals"].partition("blocks of ")[2].split()[0]) >= 6, "windows of six steps overlap"
    assert [part["slice"] for part in report["slices"]] == [*(f"step {step}" for step in range(1, 7)), "load", "heat"]
    assert np.mean([part["mae"] for part in report["slices"][:6]]) == pytest.approx(report["metrics"]["mae"]["value"])
    for figure in report["metrics"].values():
        assert figure["low"] <= figure["value"] <= figure["high"]


def test_the_better_forecast_is_named_and_equals_are_not_told_apart() -> None:
    report = evaluate(job(noise=0.3, rival=0.6))
    assert report["verdict"].startswith("load@2 is better than load@1: mase -")
    assert "scaled absolute errors of blocks of" in report["against"]["test"]
    assert "cannot be told apart" in evaluate(job(noise=0.5, rival=0.5))["verdict"]
