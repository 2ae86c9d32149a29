"""Deletion and insertion say what they promise, on models whose true order of importance is known."""

from __future__ import annotations

import numpy as np
import pytest

from gristmill.core.types import Signature, TensorSpec
from gristmill.explanation.explain import explain
from gristmill.explanation.faithfulness import faithfulness
from gristmill.explanation.protocol import Subject
from gristmill.explanation.units import units_of
from gristmill.tasks.preprocessing import Preprocessing, Standardise
from tests.explanation.subjects import image, image_rows, table, table_rows, text, text_rows

WEIGHTS = np.array([8.0, 4.0, 2.0, 1.0], np.float32)


def linear(labels: tuple[str, ...] | None = None) -> Subject:
    signature = Signature("tabular-regression", (TensorSpec("features", "FP32", (-1, 4)),),
                          (TensorSpec("prediction", "FP32", (-1, 1)),), labels)  # fmt: skip
    step = Standardise((0.0,) * 4, (1.0,) * 4)
    return Subject(signature, Preprocessing(step), lambda inputs: inputs["features"] @ WEIGHTS[:, None], None)


def test_the_areas_of_a_linear_model_are_those_worked_out_by_hand() -> None:
    (found,) = explain(linear(), {"features": np.ones((1, 4), np.float32)}, method="occlusion")
    assert found.values == [8, 4, 2, 1]
    assert found.curves["deletion"] == pytest.approx([1, 7 / 15, 3 / 15, 1 / 15, 0], abs=1e-6)
    assert found.deletion_auc == pytest.approx((0.5 + 7 / 15 + 3 / 15 + 1 / 15) / 4)
    assert found.insertion_auc == pytest.approx((8 / 15 + 12 / 15 + 14 / 15 + 0.5) / 4)


def test_the_true_order_is_better_than_chance_and_chance_better_than_its_reverse() -> None:
    subject, raw = linear(("only",)), {"features": np.ones((1, 4), np.float32)}
    units = units_of(subject, raw)
    best = faithfulness(subject, units, 0, WEIGHTS, 0, points=8, relative=False)
    worst = faithfulness(subject, units, 0, -WEIGHTS, 0, points=8, relative=False)
    assert best.deletion < best.random_deletion < worst.deletion
    assert best.insertion > best.random_insertion > worst.insertion
    assert best.random_deletion == worst.random_deletion


def test_what_lowers_a_regressions_value_counts_as_evidence_too() -> None:
    high, low = explain(linear(), {"features": np.array([[1, 1, 1, 1], [-1, -1, -1, -1]], np.float32)},
                        method="occlusion")  # fmt: skip
    assert low.score == -15
    assert low.deletion_auc == pytest.approx(high.deletion_auc)


def test_a_prediction_like_the_baselines_has_no_faithfulness() -> None:
    (found,) = explain(linear(), {"features": np.zeros((1, 4), np.float32)}, method="occlusion")
    assert (found.deletion_auc, found.insertion_auc, found.curves) == (None, None, {})


def test_a_text_without_words_is_explained_by_nothing() -> None:
    subject, _ = text()
    (found,) = explain(subject, text_rows(b""), method="occlusion")
    assert (found.values, found.names, found.deletion_auc) == ([], [], None)


@pytest.mark.parametrize("made", [(table, table_rows), (image, image_rows), (text, text_rows)])
def test_curves_start_at_the_score_and_end_without_it(made: tuple) -> None:
    make_subject, make_rows = made
    subject, _ = make_subject()
    for one in explain(subject, make_rows(), method="occlusion", options={"points": 6}):
        assert one.curves["deletion"][0] == pytest.approx(one.score, abs=1e-5)
        assert one.curves["insertion"][-1] == pytest.approx(one.score, abs=1e-5)
        assert one.curves["deletion"][-1] == pytest.approx(one.curves["insertion"][0], abs=1e-5)
        assert len(one.curves["fraction"]) == len(one.curves["random_deletion"]) <= 7
