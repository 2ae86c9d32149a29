"""The answer to an Open Inference request: JSON, or a JSON head with binary tensors behind it."""

from __future__ import annotations

from functools import lru_cache

import msgspec
import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.core.routes import RouteVersion
from gristmill.serving.gateway.dialects.infer_request import RequestedOutput
from gristmill.serving.gateway.work import OutputRows, Reply, Result
from gristmill.serving.wire.dtypes import BINARY_ONLY, BYTES
from gristmill.serving.wire.tensors import Buffer, to_bytes, to_json_values

_encode = msgspec.json.Encoder().encode


def model_version(version: RouteVersion) -> str:
    return version.model.rpartition("@")[2]


@lru_cache(maxsize=4096)
def _head(name: str, model: str) -> bytes:
    number = model.rpartition("@")[2]
    return b'{"model_name":' + _encode(name) + b',"model_version":' + _encode(number)


@lru_cache(maxsize=4096)
def _tensor_head(name: str, dtype: str, shape: tuple[int, ...]) -> bytes:
    """`{"name":...,"datatype":...,"shape":[...]` without its end: most answers share it."""
    return _encode({"name": name, "datatype": dtype, "shape": shape})[:-1]


class InferReply:
    """How one request wants its answer."""

    __slots__ = ("_binary", "_id", "_name", "_outputs")

    def __init__(self, name: str, request_id: str, outputs: list[RequestedOutput], binary: bool) -> None:
        self._name = name
        self._id = request_id
        self._outputs = outputs
        self._binary = binary

    def render(self, version: RouteVersion, result: Result) -> Reply:
        """Raises Unprocessable for an output that the version does not have."""
        assert not isinstance(result, bytes)
        head = _head(self._name, version.model)
        if self._id:
            head += b',"id":' + _encode(self._id)
        if not self._outputs and not self._binary:
            tensors = [_in_json(output.name, output.dtype, output.values) for output in result]
            return Reply(head + b',"outputs":[' + b",".join(tensors) + b"]}")
        return self._mixed(head, version, result)

    def _mixed(self, head: bytes, version: RouteVersion, result: tuple[OutputRows, ...]) -> Reply:
        tensors: list[bytes] = []
        blobs: list[Buffer] = []
        for requested in self._outputs or [RequestedOutput(output.name) for output in result]:
            name, dtype, values = chosen(requested, version, result)
            wanted = requested.asks("binary_data")
            if self._binary if wanted is None else wanted is True:
                data = to_bytes(values, dtype)
                blobs.append(data)
                parameters = b',"parameters":{"binary_data_size":%d}}' % len(data)
                tensors.append(_tensor_head(name, dtype, values.shape) + parameters)
            else:
                tensors.append(_in_json(name, dtype, values))
        body = head + b',"outputs":[' + b",".join(tensors) + b"]}"
        if not blobs:
            return Reply(body)
        headers = (
            (b"content-type", b"application/octet-stream"),
            (b"inference-header-content-length", b"%d" % len(body)),
        )
        return Reply(b"".join([body, *blobs]), headers)


def _in_json(name: str, dtype: str, values: np.ndarray) -> bytes:
    if dtype in BINARY_ONLY:
        raise Unprocessable(f"Output {name!r} is {dtype}: ask for it as binary data.", field=name)
    return _tensor_head(name, dtype, values.shape) + b',"data":' + _encode(to_json_values(values, dtype)) + b"}"


def chosen(
    requested: RequestedOutput, version: RouteVersion, result: tuple[OutputRows, ...]
) -> tuple[str, str, np.ndarray]:
    """Name, dtype and values of one output as it is asked for. Raises Unprocessable for one that is not there."""
    for output in result:
        if output.name == requested.name:
            classes = requested.asks("classification")
            if classes:
                labels = version.signature.labels or ()
                return output.name, BYTES, _classification(output.values, labels, int(classes))
            return output.name, output.dtype, output.values
    names = [output.name for output in result]
    raise Unprocessable(
        f"There is no output {requested.name!r}: expected {', '.join(map(repr, names))}, got {requested.name!r}.",
        field=requested.name,
        expected=names,
        got=requested.name,
    )


def _classification(values: np.ndarray, labels: tuple[str, ...], classes: int) -> np.ndarray:
    """The k best of each row as `score:index:label` strings (Triton's classification extension)."""
    rows = values.reshape(len(values), -1)
    best = np.argsort(-rows, axis=1, kind="stable")[:, :classes]
    texts = np.empty(best.shape, dtype=object)
    for row, column in np.ndindex(best.shape):
        index = int(best[row, column])
        label = f":{labels[index]}" if index < len(labels) else ""
        texts[row, column] = f"{rows[row, index]:f}:{index}{label}".encode()
    return texts
