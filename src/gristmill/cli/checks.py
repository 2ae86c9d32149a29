"""The doctor's checks: one short function each, settings in, a Finding out. Nothing heavy is imported to look at it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from gristmill.cli import installation
from gristmill.cli import ports as network
from gristmill.core import plugins
from gristmill.core.settings import Settings

MIN_FREE_BYTES = 5 * 2**30
SAFE_SQLITE = (3, 51, 3)


class Finding(NamedTuple):
    state: str  # ok, warn, fail
    found: str
    advice: str = ""


def python(_: Settings) -> Finding:
    return Finding("ok", f"Python {sys.version.split()[0]}, gristmill {version('gristmill')}.")


def machine(settings: Settings) -> Finding:
    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0))
    found = f"{cores} cores, {memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB memory free."
    if settings.cores > cores:
        return Finding("warn", found, f"Set GRISTMILL_CORES to {cores}: {settings.cores} cores are granted now.")
    if memory.available < 2 * 2**30:
        return Finding("warn", found, "Runs ask for 2 GiB unless their recipe says less: free some memory.")
    return Finding("ok", found)


def gpu(_: Settings) -> Finding:
    cards = list(Path("/proc/driver/nvidia/gpus").glob("*")) + list(
        Path("/sys/class/kfd/kfd/topology/nodes").glob("*/gpu_id")
    )
    cards = [card for card in cards if card.name != "gpu_id" or card.read_text().strip() != "0"]
    if cards and find_spec("pynvml") is None:
        return Finding("warn", f"{len(cards)} GPUs, of unknown energy.", "Install gristmill[gpu]: NVML counts it.")
    return Finding("ok", f"{len(cards)} GPUs." if cards else "No GPU: models run on the processor.")


def torch(_: Settings) -> Finding:
    try:
        return Finding("ok", f"torch {version('torch')}, captum {version('captum')}.")
    except PackageNotFoundError as missing:
        return Finding("fail", f"{missing.name} is not installed.", "Install gristmill[torch].")


def tasks(_: Settings) -> Finding:
    found = ", ".join(plugins.names("tasks"))
    return (
        Finding("ok", f"Tasks: {found}.")
        if found
        else Finding("fail", "No task is registered.", "Install gristmill again.")
    )


def home(settings: Settings) -> Finding:
    try:
        settings.home_path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=settings.home_path):
            return Finding("ok", f"{settings.home} can be written.")
    except OSError as error:
        return Finding(
            "fail", f"{settings.home} cannot be written: {error.strerror}.", "Set GRISTMILL_HOME to a folder of yours."
        )


def disk(settings: Settings) -> Finding:
    folder = settings.home_path
    while not folder.exists():
        folder = folder.parent
    left = shutil.disk_usage(folder).free
    found = f"{left / 2**30:.1f} GiB free."
    if left < MIN_FREE_BYTES // 10:
        return Finding("fail", found, "Free some space: checkpoints and the journal need it.")
    if left < MIN_FREE_BYTES:
        return Finding("warn", found, "Checkpoints, bundles and the journal may need more soon.")
    return Finding("ok", found)


def ports(settings: Settings) -> Finding:
    if installation.running(settings):
        here = f"{settings.inference_port}, {settings.control_port} and {settings.grpc_port}"
        return Finding("ok", f"The platform is up on ports {here}.")
    wanted = {"inference": settings.inference_port, "control": settings.control_port}
    taken = [f"{port} ({name})" for name, port in wanted.items() if not network.free(settings.host, port)]
    if taken:
        return Finding(
            "fail",
            f"Taken by another program: {', '.join(taken)}.",
            "Use `gristmill up --inference-port PORT --control-port PORT`.",
        )
    if not network.free(settings.host, settings.grpc_port):
        found = f"Taken by another program: {settings.grpc_port} (gRPC). REST would be served without it."
        return Finding("warn", found, "Use `gristmill up --grpc-port PORT`.")
    return Finding("ok", f"{settings.inference_port}, {settings.control_port} and {settings.grpc_port} are free.")


def sqlite(settings: Settings) -> Finding:
    found = f"SQLite {sqlite3.sqlite_version}."
    if not settings.database.startswith("sqlite"):
        return Finding("ok", found + " Not used: the database is elsewhere.")
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        # https://www.sqlite.org/wal.html: the WAL-reset race, fixed in 3.51.3
        return Finding(
            "warn",
            found,
            "Before 3.51.3 two writers of one WAL file can lose a commit, so only the controller opens the database.",
        )
    return Finding("ok", found)


def database(settings: Settings) -> Finding:
    url = urlsplit(settings.database)
    if settings.database.startswith("sqlite"):
        file = Path(settings.database.partition("///")[2])
        return Finding("ok", f"{file.name} {'is there' if file.exists() else 'will be made'} in the home folder.")
    address = f"{url.hostname}:{url.port or 5432}"
    reachable = network.answers(url.hostname or "127.0.0.1", url.port or 5432)
    if reachable:
        return Finding("ok", f"{address} answers.")
    return Finding("fail", f"{address} does not answer.", "Start the database, or correct GRISTMILL_DATABASE_URL.")


def blobs(settings: Settings) -> Finding:
    url = urlsplit(settings.blobs_url)
    if url.scheme not in ("", "file"):
        return Finding("ok", f"{url.scheme}://{url.netloc}: read when the platform starts.")
    folder = Path(url.path)
    if folder.exists() and not os.access(folder, os.W_OK):
        return Finding("fail", f"{folder} cannot be written.", "Set GRISTMILL_BLOBS to a folder of yours.")
    return Finding("ok", f"{folder} {'can be written' if folder.exists() else 'will be made'}.")


def energy(_: Settings) -> Finding:
    counters = [
        zone for zone in Path("/sys/class/powercap").glob("intel-rapl:[0-9]*") if os.access(zone / "energy_uj", os.R_OK)
    ]
    if counters:
        return Finding("ok", "RAPL counters can be read: energy is measured.")
    return Finding("warn", "No RAPL counter can be read.", "Energy is modelled from CPU time, and the books say so.")


CHECKS: dict[str, Callable[[Settings], Finding]] = {
    "python": python,
    "machine": machine,
    "gpu": gpu,
    "torch": torch,
    "tasks": tasks,
    "home": home,
    "disk": disk,
    "ports": ports,
    "sqlite": sqlite,
    "database": database,
    "blobs": blobs,
    "energy": energy,
}
