"""API keys."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.core.types import Role

router = APIRouter()


@router.post("/keys", status_code=201)
def create(request: Annotated[dict[str, Any], Body()], here: Here, by: Developer) -> Json:
    """{name, role, scopes?, limits?, expires_at?, tenant?, project?} → the key with its `token`, shown this once."""
    return Json(here.create_key(by, request), status_code=201)


@router.get("/keys")
def list_keys(here: Here, by: Developer) -> Json:
    """The tenant's keys; an admin sees every tenant's."""
    return Json(here.keys(None if by.role == Role.admin else by.tenant))


@router.delete("/keys/{key}")
def revoke(key: str, here: Here, by: Developer) -> Json:
    """The gateways refuse it at once."""
    return Json(here.revoke_key(by, key))
