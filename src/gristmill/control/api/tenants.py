"""Tenants: an admin's business."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from gristmill.control.api.answers import Json
from gristmill.control.api.context import Admin, Here

router = APIRouter()


class NewTenant(BaseModel):
    model_config = ConfigDict(extra="forbid")
    tenant: str


@router.post("/tenants", status_code=201)
def create(wanted: NewTenant, here: Here, by: Admin) -> Json:
    return Json(here.create_tenant(by, wanted.tenant), status_code=201)


@router.get("/tenants")
def list_tenants(here: Here, _: Admin) -> Json:
    return Json(here.tenants())
