"""Does a request fit the signature? Checked before anything is allocated: structure is 400, fit is 422."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, prod
from typing import Any, NamedTuple, NoReturn

import numpy as np

from gristmill.core.errors import Malformed, Unprocessable
from gristmill.core.types import Signature, TensorSpec
from gristmill.serving.gateway.work import TensorJob
from gristmill.serving.wire.dtypes import BYTES, FLOATS, ITEM_BYTES, KNOWN, NUMPY
from gristmill.serving.wire.tensors import Buffer, count_strings, to_array


class Given(NamedTuple):
    """One tensor of a request; its `data` lies in its binary form."""

    dtype: str
    shape: tuple[int, ...]
    data: Buffer
    finite: bool = False  # known to be: JSON has neither NaN nor infinity


def check_structure(name: str, dtype: str, shape: tuple[int, ...], most: int) -> int:
    """Values that the shape means, at most `most`. Raises Malformed: unknown dtype, a negative or huge dimension."""
    if dtype not in KNOWN:
        raise Malformed(f"Tensor {name!r}: there is no datatype {dtype!r}.", field=name, got=dtype)
    for size in shape:
        if size < 0:
            raise Malformed(f"Tensor {name!r}: shape {list(shape)} has a negative dimension.", field=name)
    count = prod(shape)
    if count > most:
        raise Malformed(
            f"Tensor {name!r}: shape {list(shape)} means {count} values, more than the request's bytes can hold.",
            field=name,
        )
    return count


def check_size(name: str, dtype: str, shape: tuple[int, ...], data: Buffer) -> None:
    """A binary tensor's bytes are those that its shape means. Raises Malformed otherwise."""
    count = check_structure(name, dtype, shape, len(data))
    if dtype == BYTES:
        if (got := count_strings(data)) != count:
            raise Malformed(f"Tensor {name!r}: shape {list(shape)} means {count} strings, but {got} came.", field=name)
    elif (expected := count * ITEM_BYTES[dtype]) != len(data):
        raise Malformed(
            f"Tensor {name!r}: shape {list(shape)} of {dtype} is {expected} bytes, but {len(data)} came.",
            field=name,
            expected=expected,
            got=len(data),
        )


class InputFit:
    """The inputs of one signature, prebuilt."""

    def __init__(self, signature: Signature) -> None:
        self.specs = {spec.name: spec for spec in signature.inputs}
        self._order = tuple(self.specs)

    def spec(self, name: str) -> TensorSpec:
        spec = self.specs.get(name)
        if spec is None:
            raise Unprocessable(
                f"There is no input {name!r}: expected {', '.join(map(repr, self._order))}, got {name!r}.",
                field=name,
                expected=list(self._order),
                got=name,
            )
        return spec

    def shape(self, name: str, dtype: str, shape: tuple[int, ...]) -> None:
        """Name, dtype and dimensions, before the data is looked at. Raises Unprocessable naming the field."""
        spec = self.spec(name)
        if dtype != spec.dtype:
            _refuse(name, f"datatype {spec.dtype}", dtype)
        if len(shape) != len(spec.shape) or (shape[1:] != spec.shape[1:] and not _agrees(spec.shape, shape)):
            _refuse(name, f"shape {list(spec.shape)}", str(list(shape)))
        if shape[0] < 1:
            _refuse(name, "at least 1 row", "0 rows")

    def job(self, given: Mapping[str, Given]) -> tuple[TensorJob, int]:
        """All inputs are there, agree in rows and have values in range → (job, rows). Raises Unprocessable."""
        rows = 0
        parts, shapes = [], []
        for name in self._order:
            tensor = given.get(name)
            if tensor is None:
                names = ", ".join(map(repr, self._order))
                raise Unprocessable(f"Input {name!r} is missing: expected {names}.", field=name)
            if rows and tensor.shape[0] != rows:
                _refuse(name, f"{rows} rows as in {self._order[0]!r}", f"{tensor.shape[0]} rows")
            rows = tensor.shape[0]
            check_values(self.specs[name], tensor)
            parts.append(tensor.data)
            shapes.append(tensor.shape[1:])
        return TensorJob(tuple(parts), tuple(shapes)), rows


def _agrees(wanted: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return all(want in (-1, have) for want, have in zip(wanted[1:], shape[1:], strict=True))


def check_values(spec: TensorSpec, tensor: Given) -> None:
    """Finite where the signature wants it, and within its bounds. Raises Unprocessable naming the first that is not."""
    if tensor.finite and spec.low is None and spec.high is None:
        return
    if tensor.dtype in FLOATS:
        values = to_array(tensor.data, tensor.dtype, tensor.shape)
        # A finite sum proves that all are finite, at a third of the price of isfinite over them.
        if not tensor.finite and not isfinite(values.sum(dtype=np.float64)):
            _check_finite(spec, values)
        _check_bounds(spec, values)
    elif (spec.low, spec.high) != (None, None) and not _covers(spec, NUMPY.get(tensor.dtype)):
        _check_bounds(spec, to_array(tensor.data, tensor.dtype, tensor.shape))


def _covers(spec: TensorSpec, dtype: np.dtype[Any] | None) -> bool:
    if dtype is None:
        return True  # strings have no bounds
    if dtype.kind not in "iu":
        return False
    limits = np.iinfo(dtype)
    return (spec.low is None or spec.low <= limits.min) and (spec.high is None or spec.high >= limits.max)


def _check_finite(spec: TensorSpec, values: np.ndarray) -> None:
    wrong = np.isinf(values) if spec.allow_nan else ~np.isfinite(values)
    if wrong.any():
        place = np.unravel_index(int(wrong.argmax()), values.shape)
        _refuse(spec.name, "finite numbers", f"{values[place]} at {[int(i) for i in place]}")


def _check_bounds(spec: TensorSpec, values: np.ndarray) -> None:
    if spec.low is not None and (lowest := np.nanmin(values)) < spec.low:
        _refuse(spec.name, f"values of at least {spec.low:g}", f"{lowest:g}")
    if spec.high is not None and (highest := np.nanmax(values)) > spec.high:
        _refuse(spec.name, f"values of at most {spec.high:g}", f"{highest:g}")


def _refuse(name: str, expected: str, got: str) -> NoReturn:
    raise Unprocessable(
        f"Input {name!r} does not fit the signature: expected {expected}, got {got}.",
        field=name,
        expected=expected,
        got=got,
    )
