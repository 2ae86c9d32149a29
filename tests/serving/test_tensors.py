import contextlib
import json
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import Malformed, Unprocessable
from gristmill.core.types import Signature, TensorSpec
from gristmill.serving.gateway.dialects.infer_request import read_infer_request
from gristmill.serving.gateway.fit import InputFit
from gristmill.serving.wire import json_data
from gristmill.serving.wire.dtypes import INTEGERS, NUMPY
from gristmill.serving.wire.stream import FrameStream
from gristmill.serving.wire.tensors import decode_strings, encode_strings, to_array, to_bytes

SIGNATURE = Signature("tabular-regression", (TensorSpec("features", "FP32", (-1, 4)),), ())
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


@given(SHAPES, st.sampled_from(sorted(INTEGERS | {"FP32", "FP64"})), st.randoms(), st.booleans())
def test_json_data_gives_the_values_that_were_sent_nested_or_flat(shape, dtype, source, nested) -> None:
    values = np.array([source.randrange(100) for _ in range(prod(shape))], NUMPY[dtype]).reshape(shape)
    text = json.dumps(values.tolist() if nested else values.ravel().tolist()).encode()
    assert np.array_equal(to_array(json_data.parse(text, "x", dtype, shape), dtype, shape), values)


@given(st.lists(st.binary(max_size=20), min_size=1))
def test_strings_come_back_whole(items: list[bytes]) -> None:
    assert decode_strings(encode_strings(items)) == items
    array = np.empty(len(items), dtype=object)
    array[:] = items
    assert to_array(to_bytes(array, "BYTES"), "BYTES", (len(items),)).tolist() == items


@given(st.binary(max_size=64))
def test_broken_strings_are_malformed_and_nothing_else(data: bytes) -> None:
    try:
        assert encode_strings(decode_strings(data)) == data
    except Malformed:
        pass


@given(st.floats(width=32, allow_nan=False))
def test_bf16_is_within_its_precision(value: float) -> None:
    back = to_array(to_bytes(np.array([value], np.float32), "BF16"), "BF16", (1,))[0]
    assert back == pytest.approx(value, rel=2**-8, abs=1e-37) or np.isinf(back)


@settings(max_examples=300)
@given(st.data())
def test_whatever_the_body_the_parser_answers_or_refuses_with_an_error_of_ours(data: st.DataObject) -> None:
    rows = [[1.0, 2.0, 3.0, 4.0]]
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, 4], "data": rows}
    body = bytearray(json.dumps({"id": "a", "inputs": [tensor], "parameters": {"timeout": 5}}).encode())
    for _ in range(data.draw(st.integers(0, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    fit = InputFit(SIGNATURE)
    with contextlib.suppress(Malformed, Unprocessable):
        request = read_infer_request(bytes(body), {}, fit)
        job, count = fit.job(request.given)
        assert len(job.parts[0]) == 16 * count


@given(st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=300)), max_size=8), st.integers(1, 50))
def test_frames_come_whole_however_the_stream_is_cut(frames: list[tuple[bytes, bytes]], step: int) -> None:
    stream = b"".join(
        len(head).to_bytes(4, "little") + len(body).to_bytes(8, "little") + head + body for head, body in frames
    )
    cutter = FrameStream()
    found = [frame for at in range(0, len(stream), step) for frame in cutter.feed(stream[at : at + step])]
    assert found == frames
