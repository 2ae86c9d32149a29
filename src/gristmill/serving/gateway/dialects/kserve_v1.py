"""KServe V1: `POST /v1/models/{m}:predict` and `:explain` with `{"instances": [...]}`."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np

from gristmill.core.errors import GristmillError, Malformed, NotFound, Unprocessable
from gristmill.core.routes import RouteVersion
from gristmill.core.types import Signature
from gristmill.serving.gateway.dialects.openai.errors import error_body
from gristmill.serving.gateway.fit import Given, InputFit, check_structure
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.routing import Route
from gristmill.serving.gateway.work import Answer, ExplainJob, Reply, Result
from gristmill.serving.wire import json_data
from gristmill.serving.wire.dtypes import BYTES
from gristmill.serving.wire.tensors import to_json_values

_MODEL = re.compile(r"/v1/models/(?P<name>.+?)(?::(?P<what>predict|explain))?").fullmatch
_VERBS = (":predict", ":explain")
_READABLE = frozenset(("application/json", "text/json"))


class _Body(msgspec.Struct):
    instances: list[msgspec.Raw]
    parameters: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Body).decode


class KServeV1:
    segments = ("v1",)

    async def answer(self, request: Request) -> Answer:
        if request.path == "/v1/models" and request.method == "GET":
            return _models(request)
        match = _MODEL(request.path)
        if match is None or request.method != ("GET" if match["what"] is None else "POST"):
            raise request.nothing_here()
        name, _, adapter = match["name"].partition(":")
        try:
            share = request.route(name).pick(adapter=adapter or None)
        except NotFound as error:
            raise NotFound(error.message, field="model", reason="model_not_found") from None
        if match["what"] is None:
            made_at = int(share.pool.version.created_at)
            document = _model(match["name"], made_at, request) | {"name": match["name"], "ready": share.pool.ready}
            return Answer(Reply(msgspec.json.encode(document)), share.pool.version.model)
        request.content_type(_READABLE)
        body = _read(await request.body())
        given = _tensors(body.instances, share.pool.signature, share.fit)
        job, rows = share.fit.job(given)
        if match["what"] == "explain":
            return await request.call(share, ExplainJob(job, body.parameters), rows, _explanations)
        return await request.call(share, job, rows, _predictions)

    def error(self, error: GristmillError, path: str) -> bytes:
        """KServe reads `error` as text, OpenAI's clients as an object; under /v1 it is OpenAI's unless predicting."""
        if path.endswith(_VERBS):
            return msgspec.json.encode({"error": error.message})
        return error_body(error)


def _models(request: Request) -> Answer:
    """`data` is what OpenAI's clients read, `models` KServe's."""
    created = {name: _created(route) for route in request.routes() for name in (route.endpoint.name, *_adapted(route))}
    data = [_model(name, at, request) for name, at in created.items()]
    return Answer(Reply(msgspec.json.encode({"object": "list", "data": data, "models": list(created)})), "")


def _model(name: str, created: int, request: Request) -> dict[str, Any]:
    """As OpenAI's clients read it; `created`: seconds since 1970."""
    return {"id": name, "object": "model", "created": created, "owned_by": request.key.tenant}


def _created(route: Route) -> int:
    """When the newest version that it serves was made, seconds since 1970."""
    return int(max((share.pool.version.created_at for share in route.shares), default=0.0))


def _adapted(route: Route) -> list[str]:
    adapters = {one.name for share in route.shares for one in share.pool.version.adapters}
    return [f"{route.endpoint.name}:{name}" for name in sorted(adapters)]


def _read(body: bytes) -> _Body:
    try:
        parsed = _decode(body)
    except msgspec.ValidationError as error:
        raise Malformed(f"The request is not a V1 request: {error}; send {{'instances': [...]}}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None
    if not parsed.instances:
        raise Unprocessable("`instances` is empty: expected at least 1.", field="instances", expected=1, got=0)
    return parsed


def _tensors(instances: list[msgspec.Raw], signature: Signature, fit: InputFit) -> dict[str, Given]:
    """Rows as lists for a model of one input; as objects by input name, or by feature name of a tabular input."""
    columns: dict[str, list[bytes]] = {spec.name: [] for spec in signature.inputs}
    for instance in instances:
        raw = bytes(instance).strip()
        for name, value in _values(raw, signature, len(columns)).items():
            if name not in columns:
                fit.spec(name)
            columns[name].append(value)
    return {name: _tensor(name, values, fit) for name, values in columns.items() if values}


def _values(raw: bytes, signature: Signature, inputs: int) -> dict[str, bytes]:
    if raw[:1] != b"{":
        if inputs != 1:
            names = [spec.name for spec in signature.inputs]
            raise Unprocessable(f"An instance of this model is an object with {', '.join(names)}.", expected=names)
        return {signature.inputs[0].name: raw}
    try:
        fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"An instance is not valid JSON: {error}.") from None
    features = signature.features
    if inputs == 1 and features and signature.inputs[0].name not in fields:
        missing = [name for name in features if name not in fields]
        if missing:
            raise Unprocessable(f"An instance lacks {missing[0]!r}.", field=missing[0], expected=list(features))
        values = [bytes(fields[name]) for name in features]
        if len(signature.inputs[0].shape) > 2:  # of a history: values by series become steps
            values = _steps(values, features)
        return {signature.inputs[0].name: b"[" + b",".join(values) + b"]"}
    return {name: bytes(value) for name, value in fields.items()}


def _steps(series: list[bytes], names: tuple[str, ...]) -> list[bytes]:
    """Lists of values by series → one list a step. Raises Malformed, Unprocessable where they differ in length."""
    try:
        columns = [msgspec.json.decode(values, type=list[msgspec.Raw]) for values in series]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Malformed(f"An instance by name is a list of values for each of {', '.join(names)}.") from None
    if len({len(values) for values in columns}) > 1:
        lengths = {name: len(values) for name, values in zip(names, columns, strict=True)}
        raise Unprocessable("The series differ in length: each needs one value a step.", got=lengths)
    return [b"[" + b",".join(bytes(value) for value in step) + b"]" for step in zip(*columns, strict=True)]


def _tensor(name: str, values: list[bytes], fit: InputFit) -> Given:
    spec = fit.spec(name)
    raw = b"[" + b",".join(values) + b"]"
    shape = _shape_of(raw, name, len(spec.shape))
    if len(shape) == 1 and spec.shape[1:] == (1,):
        shape = (shape[0], 1)  # a scalar an instance for a column of width 1
        raw = b"[" + b",".join(b"[" + value + b"]" for value in values) + b"]"
    check_structure(name, spec.dtype, shape, len(raw))
    fit.shape(name, spec.dtype, shape)
    return Given(spec.dtype, shape, json_data.parse(raw, name, spec.dtype, shape), True)


def _shape_of(raw: bytes, name: str, most: int) -> tuple[int, ...]:
    """Dimensions as the first elements have them; json_data then holds every row to them."""
    shape: list[int] = []
    try:
        while raw[:1] == b"[" and len(shape) <= most:
            parts = msgspec.json.decode(raw, type=list[msgspec.Raw])
            shape.append(len(parts))
            raw = bytes(parts[0]).strip() if parts else b""
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"Input {name!r} is not a regular nesting of lists: {error}.", field=name) from None
    return tuple(shape)


def _predictions(version: RouteVersion, result: Result) -> Reply:
    """One output: its row an instance. Several: an object by output name."""
    assert not isinstance(result, bytes)
    rows = {output.name: _rows(output.values, output.dtype) for output in result}
    if len(rows) == 1:
        (predictions,) = rows.values()
        return Reply(msgspec.json.encode({"predictions": predictions}))
    objects = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
    return Reply(msgspec.json.encode({"predictions": objects}))


def _rows(values: np.ndarray, dtype: str) -> list[Any]:
    if dtype == BYTES:
        return [to_json_values(row.reshape(-1), dtype) for row in values]
    rows: list[Any] = values.tolist()
    return rows


def _explanations(version: RouteVersion, result: Result) -> Reply:
    assert isinstance(result, bytes)
    return Reply(msgspec.json.encode({"explanations": msgspec.Raw(result)}))
