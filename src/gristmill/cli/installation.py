"""The platform of a home folder as processes: start it, find it, stop it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import psutil

from gristmill.cli import ports
from gristmill.client.sync import Client
from gristmill.core.errors import Conflict, GristmillError, Internal, Unavailable
from gristmill.core.files import write_atomic
from gristmill.core.processes import living
from gristmill.core.settings import Settings

START_WITHIN_S = 180.0  # one that ended is told at once; a busy machine starts it all the same
LOG = "controller.log"
Say = Callable[[str], None]


def check_ports(settings: Settings) -> None:
    """Raises Conflict when a port is taken, or asked for twice."""
    wanted = {name: getattr(settings, name) for name in ("inference_port", "control_port", "grpc_port")}
    if len(set(wanted.values())) < len(wanted):
        told = ", ".join(f"{name.replace('_', '-')} {port}" for name, port in wanted.items())
        raise Conflict(f"Each needs a port of its own, and these are {told}: see `gristmill up --help`.")
    ports.check_free(settings.host, settings.inference_port, "inference_port")
    ports.check_free(settings.host, settings.control_port, "control_port")


def start(settings: Settings, environ: Mapping[str, str], say: Say) -> None:
    """Start the supervisor detached and wait until it is ready. Raises Internal when it ends instead."""
    settings.home_path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.home_path / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gristmill.supervisor", "--home", settings.home],
            env={**environ, "GRISTMILL_HOME": settings.home},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    began = time.monotonic()
    while not ready(settings):
        waited = time.monotonic() - began
        if process.poll() is not None and not running(settings):
            raise Internal(_last_words(settings.home_path / LOG))
        if waited > START_WITHIN_S:
            raise Unavailable(
                f"The platform is not ready after {START_WITHIN_S:.0f} s: see {settings.home_path / LOG}."
            )
        say(f"Starting … {waited:.1f} s")
        time.sleep(0.1)


def ready(settings: Settings) -> bool:
    """Whether the control API answers that all is ready."""
    if not settings.admin_key_file.exists():
        return False
    try:
        with Client() as client:
            return bool(client.platform.status()["state"] == "ready")
    except GristmillError:
        return False


def running(settings: Settings) -> bool:
    """Whether the controller of this home lives and answers."""
    return living(settings.controller_folder) is not None and ready(settings)


def processes(settings: Settings) -> list[psutil.Process]:
    """The living processes of this home, by their `process.json`: controller, gateways, replicas, runs."""
    folders = [settings.home_path / "supervisor", settings.controller_folder]
    for kind in (settings.gateways_folder, settings.replicas, settings.runs):
        folders += sorted(kind.iterdir()) if kind.is_dir() else []
    return [process for folder in folders if (process := living(folder)) is not None]


def stop(settings: Settings, say: Say) -> int:
    """Ask the platform to stop and wait; what does not end gets SIGTERM, then SIGKILL. How many processes ended."""
    count = len(processes(settings))
    try:
        with Client() as client:
            client.platform.stop()
    except GristmillError:
        _signal(settings, signal.SIGTERM)  # no controller to ask: each process drains by itself
    for wait_s, then in ((settings.drain_timeout_s + 10, signal.SIGTERM), (10.0, signal.SIGKILL), (5.0, None)):
        if _gone(settings, wait_s, say):
            break
        if then is not None:
            _signal(settings, then)
    return count


def _gone(settings: Settings, within_s: float, say: Say) -> bool:
    deadline = time.monotonic() + within_s
    while left := processes(settings):
        if time.monotonic() > deadline:
            return False
        say(f"Stopping … {len(left)} processes left")
        time.sleep(0.1)
    return True


def _signal(settings: Settings, which: signal.Signals) -> None:
    for process in processes(settings):
        try:
            process.send_signal(which)
        except psutil.Error:
            continue


def remember(settings: Settings, **values: int | float | None) -> None:
    """Keep the settings that are given in settings.toml of the home folder, so that every later command finds them."""
    given = {name: value for name, value in values.items() if value is not None}
    if not given:
        return
    file = settings.home_path / "settings.toml"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = file.read_text().splitlines() if file.exists() else []
    kept = [line for line in kept if line.partition("=")[0].strip() not in given]
    write_atomic(file, "\n".join([*(f"{name} = {value}" for name, value in given.items()), *kept, ""]).encode())


def _last_words(log: Path) -> str:
    """The last line of the log as a sentence; a JSON line gives its message."""
    lines = log.read_text(errors="replace").strip().splitlines()
    last = lines[-1] if lines else "the log is empty"
    try:
        last = msgspec.json.decode(last)["message"]
    except (msgspec.DecodeError, TypeError, KeyError):
        pass
    return f"The platform did not start: {last.rstrip('.')}; the log is {log}."
