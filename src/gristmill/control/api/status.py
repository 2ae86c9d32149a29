"""What is running; stopping it."""

from __future__ import annotations

from fastapi import APIRouter

from gristmill.control.api.answers import Json
from gristmill.control.api.context import Admin, Developer, Here

router = APIRouter()


@router.get("/status")
def status(here: Here, _: Developer) -> Json:
    """Version, state, addresses, gateways, runs, endpoints, resources, journal."""
    return Json(here.status())


@router.post("/stop", status_code=202)
def stop(here: Here, _: Admin) -> Json:
    """Drain and end everything; returns at once."""
    return Json(here.stop(), status_code=202)
