"""Composition root: one short function a process. `python -m gristmill.app supervise|controller --home HOME`."""

from __future__ import annotations

import argparse
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn

from gristmill.control.api.app import create_app
from gristmill.control.controller import Controller
from gristmill.control.platform import Platform
from gristmill.core import log, plugins
from gristmill.core.errors import Conflict, GristmillError, Unprocessable
from gristmill.core.measurement import WATTS_A_CORE
from gristmill.core.processes import claim
from gristmill.core.settings import Settings, load_settings

REFUSED = 2  # exit status of a controller that must not be started again: its settings are wrong
RESTART_AFTER_S = 0.2
LONGEST_WAIT_S = 5.0


def supervise(settings: Settings) -> int:
    """Keep one controller alive until it ends of its own will. Restarting it disturbs no request and no run."""
    claim(settings.home_path / "supervisor")
    stopping = threading.Event()
    child: subprocess.Popen[bytes] | None = None

    def pass_on(*_: object) -> None:
        stopping.set()
        if child is not None:
            child.terminate()

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    wait_s = RESTART_AFTER_S
    while True:
        began = time.monotonic()
        child = subprocess.Popen([sys.executable, "-m", "gristmill.app", "controller", "--home", settings.home])
        status = child.wait()
        if status in (0, REFUSED) or stopping.is_set():
            return REFUSED if status == REFUSED else 0
        wait_s = RESTART_AFTER_S if time.monotonic() - began > 10 else min(LONGEST_WAIT_S, wait_s * 2)
        stopping.wait(wait_s)


def controller(settings: Settings) -> int:
    """Reconcile what runs with what is wanted, and answer the control API, until stopped."""
    claim(settings.controller_folder)
    _check_exposure(settings)
    door = _listen(settings)
    platform = Platform(settings)
    platform.prepare()
    os.environ[WATTS_A_CORE] = str(settings.watts_a_core)  # runs and replicas inherit it
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


PROCESSES: dict[str, Callable[[Settings], int]] = {"supervise": supervise, "controller": controller}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gristmill.app")
    parser.add_argument("process", choices=PROCESSES)
    parser.add_argument("--home", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        settings = load_settings({"home": str(arguments.home)})
        log.configure(settings.log_level)
        return PROCESSES[arguments.process](settings)
    except GristmillError as error:
        sys.stderr.write(error.message + "\n")
        return REFUSED


if __name__ == "__main__":
    sys.exit(main())
