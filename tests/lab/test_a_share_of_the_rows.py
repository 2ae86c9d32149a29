"""A recipe trains on a share of the training rows: nested, in each class's proportion, told with the version."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import Unprocessable
from gristmill.core.types import DatasetRef
from gristmill.data.subsets import nested_order
from gristmill.lab.loading import share
from gristmill.tasks.protocol import Examples
from gristmill.tasks.recipe import DataPart, parse_recipe
from tests.lab.rig import Rig, finish

CLASSES = np.repeat([0, 1, 2], [60, 30, 10])
EXAMPLES = Examples({"features": np.arange(100.0)[:, None]}, CLASSES, ("a", "b", "c"), ("f",))


@given(st.integers(10, 100))
def test_any_first_rows_hold_each_class_in_its_share(count: int) -> None:
    order = nested_order(100, CLASSES)
    assert sorted(order) == list(range(100))
    for label, of_all in ((0, 0.6), (1, 0.3), (2, 0.1)):
        assert abs(int((CLASSES[order[:count]] == label).sum()) - of_all * count) <= 1


def test_a_smaller_share_is_part_of_a_larger_one() -> None:
    small = share(EXAMPLES, DataPart(dataset="d", fraction=0.1)).inputs["features"]
    large = share(EXAMPLES, DataPart(dataset="d", rows=40)).inputs["features"]
    assert len(small) == 10
    assert len(large) == 40
    assert set(small.ravel()) <= set(large.ravel())


def test_more_rows_than_there_are_are_refused() -> None:
    with pytest.raises(Unprocessable, match=r"data\.rows is 101, and there are 100"):
        share(EXAMPLES, DataPart(dataset="d", rows=101))


def test_rows_and_fraction_together_are_refused() -> None:
    recipe = {"name": "r", "task": "tabular-classification", "architecture": {"name": "mlp"}}
    with pytest.raises(Unprocessable, match="keep one of them"):
        parse_recipe(recipe | {"data": {"dataset": "d", "rows": 5, "fraction": 0.5}})


def test_a_version_tells_how_much_went_into_it(rig: Rig, wine: DatasetRef) -> None:
    recipe = {
        "task": "tabular-classification",
        "architecture": {"name": "mlp", "hidden": [4]},
        "data": {"dataset": "wine", "fraction": 0.25},
        "training": {"epochs": 2, "batch_size": 8},
    }
    found = finish(rig.prepare("wine-share", wine, recipe))
    assert found is not None
    rows = found.metrics["train/rows"]
    assert 25 <= rows <= 35  # a quarter of wine's training rows
    assert found.metrics["train/steps"] == 2 * np.ceil(rows / 8)
