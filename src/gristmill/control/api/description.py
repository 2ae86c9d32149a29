"""What the OpenAPI document says of every route: its name, its keys, its error object."""

from __future__ import annotations

from typing import Any

from fastapi import Depends
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import BaseModel


class Fault(BaseModel):
    code: str
    message: str
    details: dict[str, Any]
    request_id: str


class Refusal(BaseModel):
    """Every answer of status 400 and more: one plain sentence, and the field that it is about in `details`."""

    error: Fault


REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Refusal, "description": "Refused"},
    "5XX": {"model": Refusal, "description": "Failed, or not ready: `retry-after` says when"},
}
# The gate checks keys before any route is looked for; these only tell readers of the document how a key travels.
KEYS = [
    Depends(HTTPBearer(bearerFormat="gm_...", auto_error=False)),
    Depends(APIKeyHeader(name="x-api-key", auto_error=False)),
]


def operation_id(route: APIRoute) -> str:
    """As generated clients name the call: `runs_submit`."""
    return f"{route.tags[0]}_{route.name}"
