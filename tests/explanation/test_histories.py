"""A history is explained value by value: by stretches of one series, named by how many steps back they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gristmill.core.errors import Unprocessable
from gristmill.core.types import Signature, TensorSpec
from gristmill.explanation.explain import Explanation, explain
from gristmill.explanation.protocol import Subject
from gristmill.tasks.preprocessing import Preprocessing
from gristmill.tasks.protocol import Tensors
from gristmill.tasks.series import HISTORY, ScaleSeries

STEPS, SERIES, HORIZON = 5, 2, 3
WEIGHTS = np.random.default_rng(7).normal(size=(HORIZON * SERIES, STEPS, SERIES)).astype(np.float32)
STEP = ScaleSeries(("load", "heat"), (10.0, -3.0), (2.0, 0.5), (0, 1), STEPS, HORIZON, 1)
RAW = (np.random.default_rng(8).normal(size=(2, STEPS, SERIES)) * [2, 0.5] + [10, -3]).astype(np.float32)
SCALED = (RAW - np.asarray(STEP.mean, np.float32)) / np.asarray(STEP.std, np.float32)


def predict(inputs: Tensors) -> np.ndarray:
    return np.einsum("kts,nts->nk", WEIGHTS, inputs[HISTORY]) + 7.0


def gradients(inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int) -> tuple[Tensors, np.ndarray]:
    return {HISTORY: WEIGHTS[targets] * (inputs[HISTORY] - baselines[HISTORY])}, np.zeros(len(targets))


SUBJECT = Subject(
    Signature("time-series-forecasting", (TensorSpec(HISTORY, "FP32", (-1, STEPS, SERIES)),),
              (TensorSpec("forecast", "FP32", (-1, HORIZON, SERIES)),), features=("load", "heat"),
              target="load,heat", scores="values"),
    Preprocessing(STEP), predict, gradients,
)  # fmt: skip


def explained(method: str, target: int | None = 3, **options: Any) -> list[Explanation]:
    return explain(SUBJECT, {HISTORY: RAW}, method=method, target=target, options=options)


@pytest.mark.parametrize(
    ("method", "options"), [("occlusion", {"window": 1}), ("shapley", {"window": 1}), ("integrated-gradients", {})]
)
def test_each_value_of_a_linear_forecast_has_its_own_part(method: str, options: dict[str, int]) -> None:
    for row, found in enumerate(explained(method, **options)):
        np.testing.assert_allclose(found.values, (WEIGHTS[3] * SCALED[row]).reshape(-1), rtol=1e-4, atol=1e-5)
        assert found.names is not None
        assert found.names[:2] == ["load[-5]", "heat[-5]"]
        assert found.names[-1] == "heat[-1]"
        assert found.label == "heat in 2 steps", "outputs go target by target within a step"


def test_stretches_of_one_series_share_what_they_matter_together() -> None:
    parts = WEIGHTS[3] * SCALED[0]
    (found, _) = explained("shapley", window=2)
    shared = np.asarray(found.values).reshape(STEPS, SERIES)
    np.testing.assert_allclose(shared[:2].sum(axis=0), parts[:2].sum(axis=0), rtol=1e-4)
    np.testing.assert_allclose(shared[4], parts[4], rtol=1e-4)
    assert sum(found.values) == pytest.approx(found.score - 7.0, rel=1e-4), "less the forecast of the baseline"
    (hidden, _) = explained("occlusion", window=5)
    np.testing.assert_allclose(
        np.asarray(hidden.values).reshape(STEPS, SERIES), np.tile(parts.sum(axis=0), (5, 1)), rtol=1e-4
    )


def test_the_next_step_of_the_first_target_is_explained_where_none_is_named() -> None:
    found = explained("occlusion", target=None)
    assert [(one.target, one.label) for one in found] == [(0, "load in 1 step")] * 2


def test_too_many_places_and_unknown_outputs_are_told() -> None:
    with pytest.raises(Unprocessable, match="the model has outputs 0 to 5"):
        explained("occlusion", target=6)
    with pytest.raises(Unprocessable, match="`window` should be a whole number from 1 to 5"):
        explained("occlusion", window=6)
