"""The body of an Open Inference request: a JSON head, and behind it the binary tensors that it names."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

import msgspec

from gristmill.core.errors import Malformed
from gristmill.serving.gateway.fit import Given, InputFit, check_size, check_structure
from gristmill.serving.wire import json_data
from gristmill.serving.wire.dtypes import BYTES, ITEM_BYTES
from gristmill.serving.wire.tensors import Buffer, encode_strings

HEAD_LENGTH = b"inference-header-content-length"


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: tuple[int, ...]
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] | None = None


class RequestedOutput(msgspec.Struct):
    """`parameters`: `binary_data` overrides the request's default, `classification` asks for the k best classes."""

    name: str
    parameters: dict[str, Any] | None = None

    def asks(self, parameter: str) -> Any:
        return self.parameters.get(parameter) if self.parameters else None


class _Body(msgspec.Struct):
    inputs: list[_Input]
    id: str = ""
    parameters: dict[str, Any] | None = None
    outputs: list[RequestedOutput] | None = None


class InferRequest(NamedTuple):
    given: dict[str, Given]
    id: str
    parameters: dict[str, Any]
    outputs: list[RequestedOutput]
    binary: bool  # the default form of the outputs
    timeout_s: float | None


_decode = msgspec.json.Decoder(_Body).decode


def read_infer_request(body: bytes, headers: Mapping[bytes, bytes], fit: InputFit) -> InferRequest:
    """Parse and check names, dtypes and shapes against `fit`. Raises Malformed (400) or Unprocessable (422)."""
    length = headers.get(HEAD_LENGTH)
    if length is None:
        head, blobs = body, memoryview(b"")
    else:
        size = _head_size(length, len(body))
        if size == 0:
            return _raw_request(body, fit)
        view = memoryview(body)
        head, blobs = bytes(view[:size]), view[size:]
    try:
        parsed = _decode(head)
    except msgspec.ValidationError as error:
        raise Malformed(f"The request is not an inference request: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None
    given = _inputs(parsed.inputs, blobs, fit)
    parameters = parsed.parameters or {}
    return InferRequest(
        given,
        parsed.id,
        parameters,
        parsed.outputs or [],
        parameters.get("binary_data_output") is True,
        read_timeout(parameters) if "timeout" in parameters else None,
    )


def _head_size(length: bytes, body_size: int) -> int:
    if not length.isdigit() or len(length) > 12 or (size := int(length)) > body_size:
        raise Malformed(f"Inference-Header-Content-Length is not a length within the body's {body_size} bytes.")
    return size


def read_timeout(parameters: Mapping[str, Any]) -> float | None:
    """Seconds of the parameter `timeout`: microseconds, 0 for none, as Triton has it. Raises Malformed."""
    value = parameters["timeout"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        raise Malformed("Parameter 'timeout' is a number of microseconds.", field="timeout")
    return value / 1e6 if value else None


def _inputs(inputs: list[_Input], blobs: memoryview, fit: InputFit) -> dict[str, Given]:
    given: dict[str, Given] = {}
    offset = 0
    for tensor in inputs:
        name, dtype, shape = tensor.name, tensor.datatype, tensor.shape
        if name in given:
            raise Malformed(f"Input {name!r} came twice.", field=name)
        size = tensor.parameters.get("binary_data_size") if tensor.parameters else None
        if size is None:
            data: Buffer = _json_tensor(tensor, fit)
        else:
            data = _slice(name, size, blobs, offset)
            offset += size
            check_size(name, dtype, shape, data)
            fit.shape(name, dtype, shape)
        given[name] = Given(dtype, shape, data, size is None)
    if offset != len(blobs):
        raise Malformed(f"{len(blobs) - offset} bytes behind the JSON head belong to no input.")
    return given


def _json_tensor(tensor: _Input, fit: InputFit) -> bytes:
    name, dtype, shape, data = tensor.name, tensor.datatype, tensor.shape, tensor.data
    if tensor.parameters and "shared_memory_region" in tensor.parameters:
        raise Malformed(f"Input {name!r}: shared memory is not taken; send the data.", field=name)
    if data is msgspec.UNSET:
        raise Malformed(f"Input {name!r} has neither `data` nor `binary_data_size`.", field=name)
    raw = memoryview(data)
    check_structure(name, dtype, shape, len(raw))
    fit.shape(name, dtype, shape)
    return json_data.parse(raw, name, dtype, shape)


def _slice(name: str, size: Any, blobs: memoryview, offset: int) -> memoryview:
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise Malformed(f"Input {name!r}: binary_data_size must be a number of bytes.", field=name)
    if offset + size > len(blobs):
        raise Malformed(
            f"Input {name!r} is cut short: binary_data_size is {size}, but {len(blobs) - offset} bytes are left.",
            field=name,
            expected=size,
            got=len(blobs) - offset,
        )
    return blobs[offset : offset + size]


def _raw_request(body: bytes, fit: InputFit) -> InferRequest:
    """A head of length 0: the body is the one input's bytes, and its size tells the rows (Triton's raw request)."""
    if len(fit.specs) != 1:
        raise Malformed(f"A raw request fits a model of one input; this one has {len(fit.specs)}.")
    (spec,) = fit.specs.values()
    if spec.dtype == BYTES:
        given = Given(BYTES, (1,) * len(spec.shape), encode_strings([body]))
    else:
        row = ITEM_BYTES[spec.dtype]
        for size in spec.shape[1:]:
            row *= size
        if row <= 0 or not body or len(body) % row:
            raise Malformed(
                f"Input {spec.name!r}: a raw request of {len(body)} bytes is not whole rows of {row} bytes.",
                field=spec.name,
            )
        given = Given(spec.dtype, (len(body) // row, *spec.shape[1:]), body)
    fit.shape(spec.name, given.dtype, given.shape)
    return InferRequest({spec.name: given}, "", {}, [], True, None)
