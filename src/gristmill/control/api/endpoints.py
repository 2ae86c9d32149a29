"""Endpoints and rollouts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict

from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.control.api.pages import Lines, Offset

router = APIRouter()


class Scale(BaseModel):
    model_config = ConfigDict(extra="forbid")
    replicas: int | str


@router.post("/endpoints/{endpoint}/deploy", status_code=202)
def deploy(endpoint: str, request: Annotated[dict[str, Any], Body()], here: Here, by: Developer) -> Json:
    """{version, strategy?, replicas?, resources?, limits?, runtime?} → {endpoint, rollout}; 409 during a rollout."""
    return Json(here.deploy(by, endpoint, request), status_code=202)


@router.get("/endpoints")
def list_endpoints(here: Here, by: Developer) -> Json:
    return Json(here.endpoints(by.tenant))


@router.get("/endpoints/{endpoint}")
def show(endpoint: str, here: Here, by: Developer) -> Json:
    """State, versions with weights, replicas, newest rollout; how fast it wrote in the last hour."""
    return Json(here.endpoint(by.tenant, endpoint))


@router.get("/endpoints/{endpoint}/replicas")
def list_replicas(endpoint: str, here: Here, by: Developer) -> Json:
    """Newest first: those that live, and those that ended whose log is kept."""
    return Json(here.replicas(by.tenant, endpoint))


@router.get("/endpoints/{endpoint}/replicas/{replica}")
def show_replica(endpoint: str, replica: str, here: Here, by: Developer) -> Json:
    return Json(here.replica(by.tenant, endpoint, replica))


@router.get("/endpoints/{endpoint}/replicas/{replica}/logs")
def logs(endpoint: str, replica: str, here: Here, by: Developer, after: Offset = 0, lines: Lines = None) -> Json:
    """{text, next, ended}: what the replica's process wrote, from byte `after` on, or its last `lines` lines."""
    return Json(here.replica_logs(by.tenant, endpoint, replica, after, lines))


@router.post("/endpoints/{endpoint}/rollback", status_code=202)
def rollback(endpoint: str, here: Here, by: Developer) -> Json:
    """Move back to what it served before."""
    return Json(here.rollback(by, endpoint), status_code=202)


@router.post("/endpoints/{endpoint}/scale", status_code=202)
def scale(endpoint: str, wanted: Scale, here: Here, by: Developer) -> Json:
    return Json(here.scale(by, endpoint, wanted.replicas), status_code=202)


@router.delete("/endpoints/{endpoint}", status_code=202)
def delete(endpoint: str, here: Here, by: Developer) -> Json:
    return Json(here.delete_endpoint(by, endpoint), status_code=202)


@router.post("/endpoints/{endpoint}/adapters", status_code=202)
def add_adapter(endpoint: str, request: Annotated[dict[str, Any], Body()], here: Here, by: Developer) -> Json:
    """{version, name?} → the adapter; it answers as ENDPOINT:NAME once its state is `ready`."""
    return Json(here.add_adapter(by, endpoint, request), status_code=202)


@router.get("/endpoints/{endpoint}/adapters")
def list_adapters(endpoint: str, here: Here, by: Developer) -> Json:
    return Json(here.adapters(by.tenant, endpoint))


@router.get("/endpoints/{endpoint}/adapters/{adapter}")
def show_adapter(endpoint: str, adapter: str, here: Here, by: Developer) -> Json:
    """State: loading, ready, or refused with the error."""
    return Json(here.adapter(by.tenant, endpoint, adapter))


@router.delete("/endpoints/{endpoint}/adapters/{adapter}", status_code=202)
def remove_adapter(endpoint: str, adapter: str, here: Here, by: Developer) -> Json:
    """Texts under way are finished with it."""
    return Json(here.remove_adapter(by, endpoint, adapter), status_code=202)


@router.get("/rollouts/{rollout}")
def show_rollout(rollout: str, here: Here, by: Developer) -> Json:
    return Json(here.rollout(by.tenant, rollout))
