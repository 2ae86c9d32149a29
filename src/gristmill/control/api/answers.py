"""Answers as JSON, by msgspec: a NaN among metrics is null and no error."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import JSONResponse

from gristmill.core.errors import GristmillError

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Json(JSONResponse):
    def render(self, content: Any) -> bytes:
        return _encode(content)


def refusal(error: GristmillError, request_id: str) -> Json:
    """The error object: {"error": {"code", "message", "details", "request_id"}}."""
    told = {"code": error.code, "message": error.message, "details": error.details, "request_id": request_id}
    headers = {"retry-after": f"{error.retry_after_s:g}"} if error.retry_after_s is not None else None
    return Json({"error": told}, status_code=error.status, headers=headers)
