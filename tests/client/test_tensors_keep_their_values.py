from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gristmill.client import tensors
from gristmill.core.errors import Unprocessable

DTYPES = {"uint8": "UINT8", "int64": "INT64", "float32": "FP32", "float64": "FP64", "bool": "BOOL", "float16": "FP16"}


@given(st.sampled_from(sorted(DTYPES)).flatmap(lambda name: arrays.arrays(np.dtype(name), arrays.array_shapes())))
def test_an_array_travels_as_its_own_bytes(array: np.ndarray) -> None:
    body, headers = tensors.encode({"x": array}, {})
    length = int(headers[tensors.HEAD_LENGTH])
    (head,) = msgspec.json.decode(body[:length])["inputs"]
    assert (head["datatype"], tuple(head["shape"])) == (DTYPES[array.dtype.name], array.shape)
    assert body[length:] == array.tobytes()
    assert head["parameters"]["binary_data_size"] == array.nbytes


@given(arrays.arrays(np.float64, arrays.array_shapes(), elements=st.floats(-1e6, 1e6)))
def test_outputs_come_back_nested_whether_they_were_flat_or_not(array: np.ndarray) -> None:
    for data in (array.reshape(-1).tolist(), array.tolist()):
        answer = {"outputs": [{"name": "y", "shape": list(array.shape), "data": data}]}
        assert tensors.decode(answer) == {"y": array.tolist()}


def test_a_slice_that_is_not_contiguous_keeps_its_order() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    body, headers = tensors.encode({"x": array}, {})
    assert body[int(headers[tensors.HEAD_LENGTH]) :] == array.tobytes()


def test_lists_take_the_models_own_dtype() -> None:
    described = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 2]}]}
    body, headers = tensors.encode({"features": [[1, 2]]}, described)
    (tensor,) = msgspec.json.decode(body)["inputs"]
    assert (tensor["datatype"], tensor["shape"], tensor["data"]) == ("FP32", [1, 2], [[1, 2]])
    assert headers == {"content-type": "application/json"}


def test_an_array_of_objects_is_refused_by_name() -> None:
    with pytest.raises(Unprocessable, match="'x'"):
        tensors.encode({"x": np.array(["2026-01-01"], dtype="M8[D]").astype(object)}, {})


@pytest.mark.parametrize("value", [[1, "a", None], {"a": (1, 2)}, "text", 3.5])
def test_plain_values_stay_themselves(value: Any) -> None:
    assert msgspec.json.encode(tensors.plain(value)) == msgspec.json.encode(value)
