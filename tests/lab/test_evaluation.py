"""Figures of an evaluation agree with the tasks' own and with scipy's, and its verdict is right."""

from __future__ import annotations

import json
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gristmill.core.errors import Unprocessable
from gristmill.lab import resampled_metrics
from gristmill.lab.evaluate import EvaluateJob, evaluate
from gristmill.lab.statistics import bootstrap, mcnemar, paired_permutation, percentile, wilson
from gristmill.tasks.image_classification import ImageClassification
from gristmill.tasks.metrics import classification_metrics, regression_metrics
from gristmill.tasks.tabular_regression import TabularRegression


def probabilities(rows: int, classes: int, skill: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.random.default_rng(99).integers(classes, size=rows)
    logits = rng.normal(size=(rows, classes)) + skill * np.eye(classes)[y]
    p = np.exp(logits)
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32), y


def job(rows: int = 400, skill: float = 3.0, rival: float | None = None, classes: int = 4) -> EvaluateJob:
    p, y = probabilities(rows, classes, skill)
    other = None if rival is None else {"probabilities": probabilities(rows, classes, rival, 2)[0]}
    labels = tuple(f"class {number}" for number in range(classes))
    return EvaluateJob(ImageClassification(), {"probabilities": p}, y, labels, 7, ("digits@2", "digits@1"), other)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_every_row_once_a_resampled_metric_is_the_tasks_own(classes: int, seed: int) -> None:
    p, y = probabilities(150, classes, 1.0, seed)
    p = np.round(p, 2)  # ties
    ones = np.ones((150, 3), np.float32)
    for name, value in classification_metrics(p, y).items():
        assert resampled_metrics.classification(p, y)[name](ones) == pytest.approx([value] * 3, abs=1e-5), name


def test_a_drawn_sample_gives_what_the_task_says_of_it() -> None:
    p, y = probabilities(80, 3, 1.0)
    rng = np.random.default_rng(3)
    for _ in range(20):
        rows = rng.integers(80, size=80)
        weights = np.bincount(rows, minlength=80).astype(np.float32)[:, None]
        for name, value in classification_metrics(p[rows], y[rows]).items():
            assert resampled_metrics.classification(p, y)[name](weights)[0] == pytest.approx(value, abs=1e-5), name
        x, t = p[:, 0] * 3, y.astype(np.float32)
        for name, value in regression_metrics(x[rows], t[rows]).items():
            assert resampled_metrics.regression(x, t)[name](weights)[0] == pytest.approx(value, abs=1e-5), name


def test_intervals_are_scipys() -> None:
    rng = np.random.default_rng(4)
    right = (rng.random(300) < 0.8).astype(np.float64)
    spread = bootstrap({"mean": lambda w: right @ w / 300}, 300, np.random.default_rng(0), 9999)["mean"]
    ours = percentile(right.mean(), spread)
    theirs = stats.bootstrap((right,), np.mean, method="percentile", n_resamples=9999, rng=1).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.006)
    assert ours.high == pytest.approx(theirs.high, abs=0.006)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    expected = stats.binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_many_rows_is_still_exact() -> None:
    expected = 2 * sum(comb(5000, k) for k in range(2401)) / 2**5000
    assert mcnemar(2400, 2600) == pytest.approx(expected, rel=1e-12)


def test_the_permutation_test_is_scipys() -> None:
    rng = np.random.default_rng(5)
    differences = rng.normal(0.15, 1, 120)
    theirs = stats.permutation_test(
        (differences, np.zeros(120)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=4999, rng=1
    ).pvalue
    assert paired_permutation(differences, np.random.default_rng(6)) == pytest.approx(theirs, abs=0.03)


@settings(max_examples=50)
@given(st.integers(1, 500).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_the_score_interval_is_scipys(drawn: tuple[int, int]) -> None:
    hits, rows = drawn
    expected = stats.binomtest(hits, rows).proportion_ci(method="wilson")
    assert wilson(hits, rows)[1:] == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_report_is_plain_json_and_the_same_for_the_same_seed() -> None:
    report = evaluate(job(rival=1.0))
    assert report == evaluate(job(rival=1.0))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    for interval in report["metrics"].values():
        assert interval["low"] <= interval["value"] + 0.05
        assert interval["high"] >= interval["value"] - 0.05
    assert np.sum(report["confusion"]) == 400
    assert sum(row["rows"] for row in report["slices"]) == sum(row["rows"] for row in report["calibration"]) == 400


def test_the_better_version_is_named_with_difference_interval_and_p() -> None:
    report = evaluate(job(skill=4.0, rival=1.0))
    assert report["verdict"].startswith("digits@2 is better than digits@1: accuracy +0.")
    assert report["against"]["p"] < 0.001
    assert report["against"]["difference"]["low"] > 0
    assert evaluate(job(skill=1.0, rival=4.0))["verdict"].startswith("digits@2 is worse than digits@1: accuracy -0.")
    assert "cannot be told apart" in evaluate(job(rows=30, skill=2.0, rival=2.0))["verdict"]


def test_a_smaller_error_is_better_for_a_regression() -> None:
    rng = np.random.default_rng(8)
    y = rng.normal(100, 20, 300).astype(np.float32)
    near, far = ({"prediction": (y + rng.normal(0, spread, 300))[:, None].astype(np.float32)} for spread in (2, 6))
    report = evaluate(EvaluateJob(TabularRegression(), near, y, None, 1, ("price@2", "price@1"), far))
    assert report["verdict"].startswith("price@2 is better than price@1: rmse -")
    assert [row["rows"] for row in report["slices"]] == [75, 75, 75, 75]


def test_no_rows_are_refused() -> None:
    with pytest.raises(Unprocessable, match="no rows"):
        evaluate(job()._replace(targets=np.array([], np.int64)))


def test_one_row_is_enough_to_say_something() -> None:
    report = evaluate(job(rows=1, rival=1.0))
    assert json.dumps(report, allow_nan=False)
