"""Errors of our rooms and of the web framework as one kind of answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gristmill.control.api.answers import refusal
from gristmill.core.errors import GristmillError, Malformed, NotFound, Unprocessable

_PLAIN = {
    "int_parsing": "should be a whole number",
    "float_parsing": "should be a number",
    "bool_parsing": "should be true or false",
}
_BEGINNINGS = re.compile("^(Input|String|Value error,) ")  # of a complaint that follows the field's name


def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, GristmillError)
    return refusal(error, request.state.request_id)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refusal(_read(error.errors()[0]), request.state.request_id)


def _read(first: Any) -> GristmillError:
    """The first complaint as one sentence."""
    place = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] == "json_invalid":
        return Malformed("The body is not valid JSON.")
    if first["type"] == "missing":
        if not place:
            return Malformed("The body is empty: send a JSON object.")
        return Unprocessable(f"The field {place!r} is missing.", field=place)
    if first["type"] == "extra_forbidden":
        return Unprocessable(f"There is no field {place!r} here.", field=place)
    if first["type"] == "string_too_short" and first["ctx"]["min_length"] == 1:
        return Unprocessable(f"The field {place!r} is empty.", field=place)
    message = _PLAIN.get(first["type"]) or _BEGINNINGS.sub("", first["msg"])
    if not place:
        return Unprocessable("The body should be a JSON object.", got=repr(first.get("input"))[:200])
    return Unprocessable(f"The field {place!r} {message}.", field=place, got=repr(first.get("input"))[:200])


def _routing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # what the web framework could not read: broken UTF-8, nested too deeply
        return refusal(Malformed("The body is not JSON that can be read."), request.state.request_id)
    told = NotFound(f"There is no {request.method} {request.url.path}: /api/openapi.json lists what there is.")
    return refusal(told, request.state.request_id)


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Any]] = {
    GristmillError: _ours,
    RequestValidationError: _invalid,
    HTTPException: _routing,
}
