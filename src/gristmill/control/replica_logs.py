"""The replicas of an endpoint and what their processes wrote; of those that ended too, while their folders are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill.control import records
from gristmill.control.endpoints import get
from gristmill.control.log_pages import log_page
from gristmill.control.state import Endpoint, Replica
from gristmill.core.errors import NotFound

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

Document = dict[str, Any]
_FIELDS = ("id", "model", "state", "restarts", "created_at", "ready_at", "ended_at", "error")


def list_replicas(platform: Platform, tenant: str, endpoint: str) -> list[Document]:
    """Newest first."""
    found, kept = _kept(platform, tenant, endpoint)
    return [_document(found, one) for one in kept]


def show(platform: Platform, tenant: str, endpoint: str, replica: str) -> Document:
    return _document(*_find(platform, tenant, endpoint, replica))


def logs(platform: Platform, tenant: str, endpoint: str, replica: str, after: int, lines: int | None) -> Document:
    """Whether it has ended is read before the file: then the file holds all of it."""
    _, found = _find(platform, tenant, endpoint, replica)
    return {**log_page(platform.settings.replicas / replica, after, lines), "ended": not found.alive}


def _find(platform: Platform, tenant: str, endpoint: str, replica: str) -> tuple[Endpoint, Replica]:
    found, kept = _kept(platform, tenant, endpoint)
    for one in kept:
        if one.id == replica:
            return found, one
    there = ", ".join(one.id for one in kept) or "none"
    raise NotFound(f"Endpoint {endpoint!r} has no replica {replica!r} whose log is kept: there is {there}.")


def _kept(platform: Platform, tenant: str, name: str) -> tuple[Endpoint, list[Replica]]:
    with platform.database.read() as connection:
        found = get(connection, tenant, name)
        replicas = records.endpoint_replicas(connection, found)
    return found, [one for one in replicas if one.alive or (platform.settings.replicas / one.id).is_dir()]


def _document(found: Endpoint, replica: Replica) -> Document:
    """`current`: it lives, or failed at what the endpoint was last asked for."""
    failed_now = replica.state == "failed" and replica.created_at >= found.changed_at
    return {**{field: getattr(replica, field) for field in _FIELDS}, "current": replica.alive or failed_now}
