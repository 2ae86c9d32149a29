"""Errors in OpenAI's shape."""

from __future__ import annotations

from typing import Any

import msgspec

from gristmill.core.errors import GristmillError, Malformed, Unprocessable

_CODES = {401: "invalid_api_key", 402: "insufficient_quota", 429: "rate_limit_exceeded"}
_TYPES = {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}


def error_object(error: GristmillError) -> dict[str, Any]:
    details = error.details
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    return {
        "error": {
            "message": error.message,
            "type": kind,
            "param": details.get("field"),
            "code": details.get("reason") or _code(error),
        }
    }


def _code(error: GristmillError) -> str | None:
    """OpenAI's where it has one; none, as there, for a body that is no JSON."""
    if isinstance(error, Malformed | Unprocessable):
        return "invalid_value" if "field" in error.details else None
    return _CODES.get(error.status, error.code)


def error_body(error: GristmillError) -> bytes:
    return msgspec.json.encode(error_object(error), enc_hook=str)


def error_event(error: GristmillError) -> bytes:
    """In the middle of a stream."""
    return b"data: %b\n\n" % error_body(error)
