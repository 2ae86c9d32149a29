"""Small processes that keep the folder contracts of a run, a worker and a gateway, without a framework's weight.

`python -m tests.control.stand_ins run|worker|gateway FOLDER`. The tests of the real ones are in tests/faults.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from gristmill.bundles.digests import scan
from gristmill.bundles.manifest import FileEntry, Lineage, Manifest, write_manifest
from gristmill.core import frames
from gristmill.core.files import write_atomic
from gristmill.core.measurement import Meter
from gristmill.core.processes import claim
from gristmill.core.routes import read_snapshot
from gristmill.core.supervision import Census, Counted, Ping, Pong, Reload, Reloaded
from gristmill.core.types import (
    GatewaySpec,
    ReplicaSpec,
    RunEvent,
    RunResult,
    RunSpec,
    RunState,
    Signature,
    TensorSpec,
)

BROKEN = "this bundle does not load"
SLOW = "this bundle says nothing for seconds while it loads"
_Message = Ping | Reload | Census


def manifest(name: str, files: dict[str, FileEntry], run: str | None = None) -> Manifest:
    signature = Signature("t", (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 1)),))
    return Manifest(name=name, task="t", framework="f", runtime="r", architecture={}, signature=signature,
                    lineage=Lineage(run=run), files=files, parameters=1, licence=None, created_at=1.0)  # fmt: skip


def write_bundle(folder: Path, name: str, card: str, run: str | None = None) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.md").write_text(card)
    return write_manifest(folder, manifest(name, scan(folder), run))


def run(folder: Path) -> None:
    """Counts its steps in a checkpoint of its own; `architecture` of the recipe says how it behaves."""
    claim(folder)
    spec = msgspec.json.decode((folder / "run.json").read_bytes(), type=RunSpec)
    assert spec.recipe is not None
    behaviour: dict[str, Any] = spec.recipe["architecture"]
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    meter, checkpoint = Meter(), folder / "step"

    def tell(kind: str, **fields: Any) -> None:
        line = msgspec.json.encode(RunEvent(at=time.time(), kind=kind, attempt=spec.attempt, **fields))
        with (folder / "events.jsonl").open("ab") as file:
            file.write(line + b"\n")

    def end(state: RunState, bundle: str | None = None) -> None:
        measured = {"validation/loss": 0.5}
        result = RunResult(state=state, attempt=spec.attempt, use=meter.read(), metrics=measured, bundle_digest=bundle)
        write_atomic(folder / "result.json", msgspec.json.encode(result))

    tell("started")
    if behaviour.get("dies"):
        os.kill(os.getpid(), signal.SIGKILL)
    steps, start = int(behaviour["steps"]), int(checkpoint.read_text()) if checkpoint.exists() else 0
    for step in range(start + 1, steps + 1):
        time.sleep(0.02)
        write_atomic(checkpoint, str(step).encode())
        tell("checkpoint", step=step, total_steps=steps)
        tell("heartbeat", use=meter.read())
        if ending.is_set():
            end(RunState.cancelled)
            return
    end(RunState.succeeded, write_bundle(folder / "bundle", str(spec.model), "a card", spec.id))


def worker(folder: Path) -> None:
    claim(folder)
    spec = msgspec.json.decode((folder / "replica.json").read_bytes(), type=ReplicaSpec)
    card = (Path(spec.bundle) / "card.md").read_text()
    broken, silent_s = BROKEN in card, 4.0 if SLOW in card else 0.0
    meter, rows = Meter(), [0]

    def answer(_message: _Message) -> Pong:
        rows[0] += 1
        if silent_s and rows[0] == 1:
            return Pong("loading", 0.0, 0, 0.0, meter.read())
        if rows[0] == 2:
            time.sleep(silent_s)
        return Pong("failed" if broken else "ready", 0.0, rows[0], 0.1, meter.read(), BROKEN if broken else None)

    _serve(spec.socket, answer)


def gateway(folder: Path) -> None:
    claim(folder)
    spec = msgspec.json.decode((folder / "gateway.json").read_bytes(), type=GatewaySpec)

    def answer(message: _Message) -> Reloaded | Counted:
        revision = read_snapshot(Path(spec.routes_file)).revision
        return Reloaded(revision) if isinstance(message, Reload) else Counted(revision, {})

    _serve(spec.control_socket, answer)


def _serve(path: str, answer: Any) -> None:
    Path(path).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(16)
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError, EOFError):  # who asked may have waited long enough
                header, _ = frames.receive(connection)
                frames.send(connection, answer(msgspec.msgpack.decode(header, type=_Message)))


if __name__ == "__main__":
    {"run": run, "worker": worker, "gateway": gateway}[sys.argv[1]](Path(sys.argv[2]))
