"""Where a learning curve goes, on planted curves and on a few real ones; all of them: benchmarks/learning_curves.py."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.books.forecast.curves import FAMILIES, Family, fit
from gristmill.books.forecast.learning_curve import AVERAGE, CONSENSUS, LAST, forecast
from gristmill.core.errors import Unprocessable

LCDB = Path(__file__).parents[3] / "shared" / "data" / "ledger" / "lcdb11_er_subset.csv"
ROWS = np.geomspace(20, 4000, 16)


@given(st.floats(0.0, 0.5), st.floats(0.2, 5.0), st.floats(0.2, 1.5))
@settings(max_examples=30, deadline=None)
def test_a_planted_power_law_is_found_again(floor: float, scale: float, exponent: float) -> None:
    losses = floor + scale * ROWS**-exponent
    curve = fit(FAMILIES[0], ROWS, losses)
    np.testing.assert_allclose(curve.at(ROWS), losses, rtol=2e-3)
    assert curve.at(40_000.0) == pytest.approx(floor + scale * 40_000**-exponent, rel=0.15, abs=2e-3)


@pytest.mark.parametrize("family", FAMILIES, ids=[family.name for family in FAMILIES])
def test_every_family_fits_its_own_curve(family: Family) -> None:
    theta = family.grid[len(family.grid) // 2]
    losses = 0.1 + 0.8 * family.shape(ROWS / np.median(ROWS), theta[None])[0]
    curve = fit(family, ROWS, losses)
    np.testing.assert_allclose(curve.at(ROWS), losses, rtol=1e-3)


def test_a_curve_never_rises_and_never_falls_below_nothing() -> None:
    for family in FAMILIES:
        rising = fit(family, ROWS, np.linspace(0.1, 0.5, len(ROWS)))
        assert rising.scale == 0
        steep = fit(family, ROWS, 5 / ROWS)
        assert steep.floor >= 0
        assert float(steep.at(1e9)) >= 0


def test_a_curve_that_does_not_fall_is_refused_with_its_last_value() -> None:
    found = forecast(ROWS, np.linspace(0.1, 0.5, len(ROWS)), 16_000)
    assert (found.chosen, found.value) == (LAST, pytest.approx(0.5))
    assert found.refused is not None
    assert "no trend" in found.refused


def test_a_clear_trend_is_followed_and_its_interval_holds_the_truth() -> None:
    noise = np.exp(np.random.default_rng(1).normal(0, 0.01, len(ROWS)))
    truth = 0.05 + 2 * 16_000**-0.5
    found = forecast(ROWS, (0.05 + 2 * ROWS**-0.5) * noise, 16_000)
    assert found.refused is None
    assert found.low < truth < found.high
    assert abs(found.value - truth) < abs(found.candidates[0].forecast - truth), "no better than the last value"
    assert {one.name for one in found.candidates} > {LAST, CONSENSUS, "pow3", "pow4", "mmf", "weibull"}


SHORT = np.array([38.0, 63, 101, 151, 214, 314])  # not long enough to hold out a fourfold way four times


def test_a_short_curve_goes_by_the_average_of_many_shapes() -> None:
    truth = 0.01 + 2 * 1258**-0.6
    found = forecast(SHORT, 0.01 + 2 * SHORT**-0.6, 1258)
    assert found.chosen == AVERAGE
    assert found.low < truth < found.high
    assert abs(found.value - truth) < abs(found.candidates[0].forecast - truth), "no better than the last value"
    steady = forecast(SHORT, np.array([0.1, 0.099, 0.101, 0.1, 0.099, 0.1]), 1258)
    assert steady.value == pytest.approx(0.1, rel=0.02)


def test_errors_tested_on_few_rows_leave_more_to_chance() -> None:
    errors = 0.01 + 2 * SHORT**-0.6
    widths = [np.log(found.high / found.low) for found in (forecast(SHORT, errors, 1258, n) for n in (100, 1e4, None))]
    assert widths[0] > 1.5 * widths[1] > 1.5 * widths[2] / 1.05
    share = errors[-1]
    # of the last point alone; the one foretold is of as many rows, and of fewer errors
    assert widths[0] > 2 * 1.645 * np.sqrt(2 * (1 - share) / (share * 100))


def test_real_curves_are_foretold_better_than_by_their_last_values() -> None:
    """LCDB 1.1: four times the rows from the first quarter, on two data sets."""
    if not LCDB.exists():
        pytest.skip("LCDB's curves are not among the shared data here")
    curves = defaultdict(list)
    with LCDB.open() as file:
        for row in csv.DictReader(file):
            if row["dataset"] in ("letter", "satimage"):
                curves[row["dataset"], row["learner"]].append((float(row["n_train"]), float(row["er_test"])))
    ours, last = [], []
    for points in curves.values():
        x, y = np.array([point for point in points if point[1] > 0]).T
        known = x <= x[-1] / 4
        if known.sum() < 5:
            continue
        ours.append(abs(forecast(x[known], y[known], x[-1]).value - y[-1]))
        last.append(abs(y[known][-1] - y[-1]))
    assert len(ours) > 40
    assert np.median(ours) < np.median(last)
    assert np.mean(ours) < np.mean(last)


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        ([1, 2, 3], [3, 2, 1], "there are 3"),
        ([1, 2, 3, 4, 4], [5, 4, 3, 2, 2], "there are 4"),
        ([1, 2, 3, 4, 5], [5, 4, 3, 2, 0], "positive"),
        ([1, 2, 3, 4, 5], [5, 4, 3, float("nan"), 1], "finite"),
    ],
)
def test_too_few_or_impossible_points_are_refused_in_one_sentence(x: list[float], y: list[float], says: str) -> None:
    with pytest.raises(Unprocessable, match=says):
        forecast(np.array(x, float), np.array(y, float), 10)
