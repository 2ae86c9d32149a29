"""Runtimes and their environments."""

from __future__ import annotations

from fastapi import APIRouter

from gristmill.control.api.answers import Json
from gristmill.control.api.context import Admin, Developer, Here

router = APIRouter()


@router.get("/runtimes")
def list_runtimes(here: Here, _: Developer) -> Json:
    return Json(here.runtimes())


@router.post("/runtimes/{runtime}/install", status_code=202)
def install(runtime: str, here: Here, by: Admin) -> Json:
    """Make an environment of its own for it; it takes minutes."""
    return Json(here.install_runtime(by, runtime), status_code=202)
