"""Typed contents and raw contents of every datatype are the same tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays

from gristmill.core.errors import Malformed
from gristmill.core.types import Signature, TensorSpec
from gristmill.serving.gateway.fit import InputFit
from gristmill.serving.gateway.rpc.contents import read_inputs
from gristmill.serving.gateway.rpc.open_inference_pb2 import ModelInferRequest
from gristmill.serving.wire.dtypes import NUMPY
from gristmill.serving.wire.tensors import encode_strings

FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


def fit(dtype: str) -> InputFit:
    return InputFit(Signature("tensors", (TensorSpec("x", dtype, (-1, -1)),), (), None, None))


def request(dtype: str, shape: tuple[int, ...], raw: bytes | None = None, **contents: Any) -> ModelInferRequest:
    described: dict[str, Any] = {"name": "x", "datatype": dtype, "shape": shape}
    if raw is not None:
        return ModelInferRequest(inputs=[described], raw_input_contents=[raw])
    return ModelInferRequest(inputs=[described | {"contents": contents}])


@given(some.data(), some.sampled_from(sorted(FIELDS)))
def test_typed_and_raw_contents_are_one_tensor(data: some.DataObject, dtype: str) -> None:
    shape = data.draw(some.tuples(some.integers(1, 4), some.integers(1, 4)))
    array = data.draw(arrays.arrays(NUMPY[dtype], shape))
    raw = read_inputs(request(dtype, shape, array.tobytes()), fit(dtype))["x"]
    typed = read_inputs(request(dtype, shape, **{FIELDS[dtype]: array.ravel().tolist()}), fit(dtype))["x"]
    assert raw.shape == typed.shape == shape
    read = [np.frombuffer(tensor.data, NUMPY[dtype]) for tensor in (raw, typed)]
    np.testing.assert_array_equal(*read)
    np.testing.assert_array_equal(read[0], array.ravel())


@given(some.lists(some.binary(max_size=6), min_size=1, max_size=5))
def test_strings_are_one_tensor_too(items: list[bytes]) -> None:
    shape = (len(items), 1)
    encoded = encode_strings(items)
    typed = read_inputs(request("BYTES", shape, bytes_contents=items), fit("BYTES"))["x"]
    assert typed == read_inputs(request("BYTES", shape, encoded), fit("BYTES"))["x"]


@pytest.mark.parametrize(
    ("dtype", "value"), [("INT8", 128), ("INT16", -(2**15) - 1), ("UINT8", 256), ("UINT16", 2**16)]
)
def test_a_value_beyond_its_datatype_is_refused_not_wrapped_around(dtype: str, value: int) -> None:
    with pytest.raises(Malformed, match=f"does not fit into {dtype}"):
        read_inputs(request(dtype, (1, 1), **{FIELDS[dtype]: [value]}), fit(dtype))
