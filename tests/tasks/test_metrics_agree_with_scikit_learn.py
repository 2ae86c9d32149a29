import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.tasks.metrics import calibration_error, classification_metrics, confusion, regression_metrics

metrics = pytest.importorskip("sklearn.metrics")


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.integers(12, 200), st.integers(0, 2**32), st.booleans())
def test_classification_metrics(classes: int, rows: int, seed: int, tied: bool) -> None:
    random = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), random.integers(0, classes, rows)])
    p = random.random((len(y), classes))
    if tied:
        p = np.round(p, 1) + 0.05
    p /= p.sum(axis=1, keepdims=True)
    found = classification_metrics(p, y)
    predicted = p.argmax(axis=1)
    expected = {
        "accuracy": metrics.accuracy_score(y, predicted),
        "f1": metrics.f1_score(y, predicted, average="macro"),
        "f1_weighted": metrics.f1_score(y, predicted, average="weighted"),
        "precision": metrics.precision_score(y, predicted, average="macro", zero_division=0),
        "recall": metrics.recall_score(y, predicted, average="macro", zero_division=0),
        "log_loss": metrics.log_loss(y, p, labels=range(classes)),
        "auc": metrics.roc_auc_score(y, p[:, 1] if classes == 2 else p, multi_class="ovr"),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    assert (confusion(predicted, y, classes) == metrics.confusion_matrix(y, predicted, labels=range(classes))).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 200), st.integers(0, 2**32))
def test_regression_metrics(rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    y, predicted = random.normal(size=rows) * 100, random.normal(size=rows)
    found = regression_metrics(predicted, y)
    assert found["mse"] == pytest.approx(metrics.mean_squared_error(y, predicted))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(y, predicted))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, predicted))
    assert found["r2"] == pytest.approx(metrics.r2_score(y, predicted))


def test_calibration_error_of_a_worked_example() -> None:
    p = np.asarray([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    y = np.asarray([0, 1, 0, 1])
    # bin of 0.9: accuracy 0.5, gap 0.4, weight 1/2; bin of 0.6: accuracy 1, gap 0.4, weight 1/2
    assert calibration_error(p, y) == pytest.approx(0.4)
