"""What a handler gets: the platform, and who calls with which right."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from gristmill.control.access import Caller
from gristmill.control.platform import Platform
from gristmill.core.errors import Forbidden
from gristmill.core.types import Role


def _platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


def _developer(request: Request) -> Caller:
    """An admin may do all that a developer may. Raises Forbidden for consumers: they call endpoints."""
    caller: Caller = request.state.caller
    if caller.role == Role.consumer:
        raise Forbidden("A consumer's key calls endpoints only: use a developer's or an admin's key here.")
    return caller


def _admin(request: Request) -> Caller:
    caller: Caller = request.state.caller
    if caller.role != Role.admin:
        raise Forbidden("Only an admin's key may do this.")
    return caller


Here = Annotated[Platform, Depends(_platform)]
Developer = Annotated[Caller, Depends(_developer)]
Admin = Annotated[Caller, Depends(_admin)]
