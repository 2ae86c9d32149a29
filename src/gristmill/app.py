"""Composition root of the controller. `python -m gristmill.app --home HOME`."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
import threading

import uvicorn

from gristmill.control.api.app import create_app
from gristmill.control.controller import Controller
from gristmill.control.platform import Platform
from gristmill.core import plugins
from gristmill.core.errors import Conflict, Unprocessable
from gristmill.core.measurement import PUE, WATTS_A_CORE
from gristmill.core.processes import claim
from gristmill.core.settings import Settings
from gristmill.supervisor import main


def controller(settings: Settings) -> int:
    """Reconcile what runs with what is wanted, and answer the control API, until stopped."""
    claim(settings.controller_folder)
    _check_exposure(settings)
    door = _listen(settings)
    platform = Platform(settings)
    platform.prepare()
    os.environ[WATTS_A_CORE] = str(settings.watts_a_core)  # runs and replicas inherit it
    os.environ[PUE] = str(settings.pue)
    engine = plugins.load("engines", settings.engine)()
    signal.signal(signal.SIGTERM, lambda *_: platform.stop())
    signal.signal(signal.SIGINT, lambda *_: platform.stop())
    server = uvicorn.Server(
        uvicorn.Config(create_app(platform), log_config=None, access_log=False, timeout_graceful_shutdown=5)
    )
    answering = threading.Thread(target=server.run, args=([door],), name="api", daemon=True)
    answering.start()
    try:
        Controller(platform, engine).run()
    finally:
        server.should_exit = True
        answering.join(10)
        platform.database.close()
    return 0


def _check_exposure(settings: Settings) -> None:
    host = settings.host
    loopback = host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
    if not loopback and not settings.behind_proxy:
        raise Unprocessable(
            f"Host {host!r} is reachable from outside and nothing here speaks TLS: put a proxy in front and set "
            "GRISTMILL_BEHIND_PROXY=true, or use 127.0.0.1.",
            field="host",
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _listen(settings: Settings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.control_port), backlog=2048)
    except OSError as error:
        raise Conflict(
            f"Port {settings.control_port} on {settings.host} cannot be listened on ({error.strerror}): "
            "set GRISTMILL_CONTROL_PORT to a free one.",
            field="control_port",
        ) from None


if __name__ == "__main__":
    sys.exit(main(controller))
