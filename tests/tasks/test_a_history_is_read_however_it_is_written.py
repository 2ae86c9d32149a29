"""A request's history: steps, records, values by series; what does not fit is told by its step and series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gristmill.core.errors import Unprocessable
from gristmill.tasks.histories import parse_histories

STEPS = [[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]
NAMES = ("load", "heat")


@pytest.mark.parametrize(
    "payload",
    [
        STEPS,
        [STEPS],
        {"load": [1, 2, 3], "heat": [10, 20, 30]},
        {"heat": [10, 20, 30], "load": [1, 2, 3]},
        {"table": {"load": [1, 2, 3], "heat": ["10", "20", "30"]}},
        {"data": {"load": [1, 2, 3], "heat": [10, 20, 30]}},
        [{"load": [1, 2, 3], "heat": [10, 20, 30]}],
        [{"load": load, "heat": heat} for load, heat in STEPS],
    ],
)
def test_one_history_in_every_form(payload: Any) -> None:
    np.testing.assert_array_equal(parse_histories(payload, 3, NAMES), np.asarray([STEPS], np.float32))


@pytest.mark.parametrize("payload", [[1, 2, 3], [[1], [2], [3]], [[[1], [2], [3]]], {"load": [1, 2, 3]}])
def test_a_single_series_may_be_plain_numbers(payload: Any) -> None:
    np.testing.assert_array_equal(parse_histories(payload, 3, ("load",)), [[[1], [2], [3]]])


def test_several_histories_keep_their_order() -> None:
    both = np.asarray([STEPS, STEPS[::-1]], np.float32)
    np.testing.assert_array_equal(parse_histories(both.tolist(), 3, NAMES), both)
    tables = [{"load": [1, 2, 3], "heat": [10, 20, 30]}, {"load": [3, 2, 1], "heat": [30, 20, 10]}]
    np.testing.assert_array_equal(parse_histories(tables, 3, NAMES), both)
    np.testing.assert_array_equal(
        parse_histories([[1, 2, 3], [4, 5, 6]], 3, ("load",))[:, :, 0], [[1, 2, 3], [4, 5, 6]]
    )


@pytest.mark.parametrize(
    ("payload", "says", "field"),
    [
        (STEPS[:2], "The history should have 3 steps, and has 2", "inputs"),
        ([STEPS, STEPS[:1]], "History 2 should have 3 steps, and has 1", "inputs"),
        ([*STEPS[:2], [3.0]], r"Step 3 of the history should have 2 values \(load, heat\), and has 1", "inputs"),
        ([*STEPS[:2], [3.0, None]], "'heat' in step 3 should be a finite number, and is None", "heat"),
        ([*STEPS[:2], [float("nan"), 1.0]], "'load' in step 3 should be a finite number, and is nan", "load"),
        ([*STEPS[:2], ["far", 1.0]], "'load' in step 3 should be a finite number, and is 'far'", "load"),
        ([*STEPS[:2], [1e300, 1.0]], "'load' in step 3 should be a finite number", "load"),
        ({"load": [1, 2, 3]}, "The history lacks the series 'heat': expected are load, heat", "heat"),
        ({"load": [1], "heat": [1], "rain": [1]}, "has the unknown series 'rain'", "rain"),
        ({"load": [1, 2, 3], "heat": [10, 20]}, "The series differ in length", "inputs"),
        ([{"load": 1, "heat": 2}, {"load": 1}], "Step 2 lacks the series 'heat'", "heat"),
        ([], "The inputs should be a history: 3 steps of load, heat", "inputs"),
        ("hello", "The inputs should be a history", "inputs"),
        ([[[[1.0]]]], "The history should have 3 steps", "inputs"),
        ({"load": 3, "heat": 4}, "The history should have 3 steps, and has 0", "inputs"),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(payload: Any, says: str, field: str) -> None:
    with pytest.raises(Unprocessable, match=says) as told:
        parse_histories(payload, 3, NAMES)
    assert told.value.details["field"] == field
    assert "\n" not in told.value.message
