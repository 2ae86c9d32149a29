"""The tensors of a gRPC request: their bytes as they lie, or typed lists."""

from __future__ import annotations

from typing import Any

import numpy as np

from gristmill.core.errors import Malformed
from gristmill.serving.gateway.fit import Given, InputFit, check_size, check_structure
from gristmill.serving.wire.dtypes import BYTES, NUMPY
from gristmill.serving.wire.tensors import encode_strings

_FIELDS = {
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
    "BYTES": "bytes_contents",
}


def read_inputs(request: Any, fit: InputFit) -> dict[str, Given]:
    """The inputs of a ModelInferRequest, checked against `fit`. Raises Malformed (400) or Unprocessable (422)."""
    raw: list[bytes] = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise Malformed(f"raw_input_contents holds {len(raw)} tensors for {len(request.inputs)} inputs: send one each.")
    given: dict[str, Given] = {}
    for place, tensor in enumerate(request.inputs):
        name, dtype, shape = tensor.name, tensor.datatype, tuple(tensor.shape)
        if name in given:
            raise Malformed(f"Input {name!r} came twice.", field=name)
        if "shared_memory_region" in tensor.parameters:
            raise Malformed(f"Input {name!r}: shared memory is not taken; send the data.", field=name)
        if raw:
            if tensor.HasField("contents"):
                raise Malformed(f"Input {name!r} came twice: raw_input_contents excludes contents.", field=name)
            data = raw[place]
            check_size(name, dtype, shape, data)
        else:
            data = _typed(tensor, name, dtype, shape)
        fit.shape(name, dtype, shape)
        given[name] = Given(dtype, shape, data)
    return given


def _typed(tensor: Any, name: str, dtype: str, shape: tuple[int, ...]) -> bytes:
    field = _FIELDS.get(dtype)
    values = getattr(tensor.contents, field) if field is not None else ()
    count = check_structure(name, dtype, shape, 2**63)
    if field is None:
        raise Malformed(f"Tensor {name!r}: {dtype} travels in raw_input_contents only.", field=name)
    for other, came in tensor.contents.ListFields():
        if other.name != field and len(came):
            raise Malformed(f"Tensor {name!r}: {dtype} belongs into {field}, not {other.name}.", field=name)
    if len(values) != count:
        raise Malformed(
            f"Tensor {name!r}: shape {list(shape)} means {count} values, but {len(values)} came.",
            field=name,
            expected=count,
            got=len(values),
        )
    if dtype == BYTES:
        return encode_strings(values)
    try:
        return np.array(values, dtype=NUMPY[dtype]).tobytes()
    except OverflowError:
        raise Malformed(f"Tensor {name!r}: a value does not fit into {dtype}.", field=name) from None
