"""Tensors of the Open Inference Protocol from and to Python values; arrays come in through the buffer protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import msgspec

from gristmill.client.calls import Document
from gristmill.core.errors import Unprocessable

HEAD_LENGTH = "inference-header-content-length"
_DTYPES = {"?": "BOOL", "b": "INT8", "B": "UINT8", "h": "INT16", "H": "UINT16", "i": "INT32", "I": "UINT32"} | {
    "l": "INT64", "L": "UINT64", "q": "INT64", "Q": "UINT64", "e": "FP16", "f": "FP32", "d": "FP64"
}  # fmt: skip


def needs_description(inputs: Mapping[str, Any]) -> bool:
    """Whether some input is plain Python values, whose dtype only the model knows."""
    return any(not _is_array(value) for value in inputs.values())


def encode(inputs: Mapping[str, Any], described: Document) -> tuple[bytes, dict[str, str]]:
    """The body and headers of an infer request: arrays as binary tensors, lists as JSON in the model's own dtype."""
    dtypes = {tensor["name"]: tensor["datatype"] for tensor in described.get("inputs", [])}
    tensors, blobs = [], []
    for name, value in inputs.items():
        if _is_array(value):
            view = memoryview(value)
            blobs.append(view.tobytes())
            tensors.append(_head(name, _dtype(name, view.format), view.shape or ()))
            tensors[-1]["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            tensors.append(_head(name, dtypes.get(name, "FP32"), _shape(value)) | {"data": value})
    head = msgspec.json.encode({"inputs": tensors})
    headers = {"content-type": "application/octet-stream", HEAD_LENGTH: str(len(head))} if blobs else {}
    return b"".join((head, *blobs)), headers or {"content-type": "application/json"}


def decode(answer: Document) -> dict[str, Any]:
    """The outputs by name, nested by their shape."""
    return {tensor["name"]: _nested(tensor["data"], tensor["shape"]) for tensor in answer["outputs"]}


def plain(value: Any) -> Any:
    """A payload as JSON can carry it: arrays become nested lists."""
    if _is_array(value):
        return memoryview(value).tolist()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _head(name: str, dtype: str, shape: Sequence[int]) -> Document:
    return {"name": name, "datatype": dtype, "shape": list(shape)}


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array_interface__") or isinstance(value, memoryview)


def _dtype(name: str, code: str) -> str:
    found = _DTYPES.get(code.lstrip("<=@"))
    if found is None:
        raise Unprocessable(f"Input {name!r}: an array of type {code!r} cannot be sent as a tensor.", field=name)
    return found


def _shape(value: Any) -> list[int]:
    return [len(value), *(_shape(value[0]) if value else [])] if isinstance(value, list | tuple) else []


def _nested(data: list[Any], shape: Sequence[int]) -> list[Any]:
    """`data` may come flat or nested already."""
    if len(shape) <= 1 or (data and isinstance(data[0], list)):
        return data
    step = prod(shape[1:])
    return [_nested(data[at : at + step], shape[1:]) for at in range(0, len(data), step or 1)]
