"""A platform without its doors: database, blobs and the parts of the controller, over stand-in processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gristmill.control.access import FIRST_TENANT, Caller
from gristmill.control.controller import Controller
from gristmill.control.platform import Platform
from gristmill.control.scheduler import Scheduler
from gristmill.core.processes import living
from gristmill.core.settings import Settings
from gristmill.core.types import Role
from gristmill.data import records as datasets
from gristmill.engines.local import LocalEngine
from gristmill.engines.protocol import ProcessSpec
from gristmill.registry import bundles, versions
from gristmill.store.outbox import OutboxItem, pending
from tests.control.stand_ins import write_bundle

BY = Caller("key", FIRST_TENANT, Role.admin, ())
ROOT = Path(__file__).parents[2]
_STAND_INS = {
    "gristmill.lab.run": "run",
    "gristmill.serving.worker": "worker",
    "gristmill.serving.gateway": "gateway",
}
ENDED = ("succeeded", "failed", "cancelled")


class StandInEngine(LocalEngine):
    """The local engine, with a light process in each heavy one's place; `starts` keeps the folders it started,
    `started_at` when."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[str] = []
        self.started_at: list[float] = []

    def start(self, spec: ProcessSpec) -> None:
        self.starts.append(spec.folder)
        self.started_at.append(time.monotonic())
        kind = _STAND_INS[spec.module]
        super().start(
            msgspec.structs.replace(
                spec,
                module="tests.control.stand_ins",
                arguments=(kind, spec.folder),
                environment={"PYTHONPATH": str(ROOT)},
            )
        )


def open_platform(home: Path, **settings: Any) -> Platform:
    platform = Platform(Settings(**{"home": str(home), "cores": 2, "inference_port": 0, "grpc_port": 0, **settings}))
    platform.prepare()
    platform.settings.sockets.mkdir(parents=True, exist_ok=True)
    return platform


def add_dataset(platform: Platform) -> None:
    values = {"digest": "sha256:0", "task": None, "manifest": {}, "profile": {}, "source": None, "licence": None,
              "cost_micro": None, "currency": None, "rows": 1, "bytes": 1, "created_at": 1.0}  # fmt: skip
    with platform.database.write() as connection:
        datasets.add(connection, FIRST_TENANT, "wine", **values)


def add_version(platform: Platform, folder: Path, card: str, model: str = "wine") -> str:
    write_bundle(folder, model, card)
    digest, manifest = bundles.store_bundle(folder, platform.blobs)
    with platform.database.write() as connection:
        number = versions.register(connection, FIRST_TENANT, manifest, digest, None, 1.0)
    return f"{model}@{number}"


def recipe(name: str = "wine", cores: float = 1.0, **behaviour: Any) -> dict[str, Any]:
    return {
        "name": name,
        "task": "tabular-classification",
        "data": {"dataset": "wine"},
        "architecture": {"name": "mlp", "steps": 5, **behaviour},
        "resources": {"cores": cores, "memory": "64MiB"},
    }


def submit(platform: Platform, **options: Any) -> str:
    priority = options.pop("priority", 0)
    request = {"kind": "train", "recipe": recipe(**options), "priority": priority}
    return str(platform.submit_run(BY, request)["id"])


def state(platform: Platform, run: str) -> str:
    return str(platform.run(FIRST_TENANT, run)["state"])


def outbox(platform: Platform, kind: str) -> list[OutboxItem]:
    with platform.database.read() as connection:
        return [item for item in pending(connection, 1000) if item.kind == kind]


def until(step: Callable[[], object], condition: Callable[[], object], within_s: float = 20.0) -> None:
    """Take steps until the condition holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        step()
        time.sleep(0.02)


def stop_asking(controller: Controller) -> None:
    """A process that dies asks nobody any more; hundreds of controllers in one process would."""
    for heard in (*controller._gateways._heard.values(), *controller._replicas._heard.values()):
        heard.stop()


def pid_of(folder: Path) -> int | None:
    process = living(folder)
    return None if process is None else process.pid


def finish_runs(home: Path) -> None:
    """What a controller does for runs, until all have ended: for a process that is to be killed at a fault point."""
    platform = open_platform(home)
    scheduler = Scheduler(platform, StandInEngine())
    until(scheduler.step, lambda: all(run["state"] in ENDED for run in platform.runs(FIRST_TENANT)))


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = str(ROOT)
    finish_runs(Path(sys.argv[1]))
