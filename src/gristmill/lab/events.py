"""What a run tells: lines of `events.jsonl`, appended whole, and `result.json`, written last."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gristmill.core.errors import StorageFull
from gristmill.core.files import full_disk_is_said, write_atomic
from gristmill.core.measurement import Meter
from gristmill.core.types import ResourceUse, RunEvent, RunResult

_HEARTBEAT_S = 1.0


class Events:
    """The run's one writer; safe from several threads. Also the trainer's watcher."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self._file = os.open(folder / "events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._attempt = attempt
        self._lock = threading.Lock()
        self._cancel = threading.Event()

    def write(self, kind: str, **fields: object) -> None:
        """Raises StorageFull."""
        event = msgspec.convert({"at": time.time(), "kind": kind, "attempt": self._attempt, **fields}, RunEvent)
        line = msgspec.json.encode(event) + b"\n"
        with self._lock, full_disk_is_said():
            os.write(self._file, line)

    def metric(self, step: int, epoch: float, values: Mapping[str, float], total_steps: int) -> None:
        self.write("metric", step=step, epoch=epoch, values=_finite(values), total_steps=total_steps)

    def checkpointed(self, step: int) -> None:
        self.write("checkpoint", step=step)

    def sample(self, step: int, text: str) -> None:
        self.write("sample", step=step, message=text)

    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def cancel(self) -> None:
        self._cancel.set()


class Heartbeat:
    """A thread that writes the attempt's use so far, so that a killed attempt is costed too."""

    def __init__(self, events: Events, gpus: int = 0) -> None:
        self._events = events
        self._meter = Meter(gpus=gpus)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def use(self) -> ResourceUse:
        return self._meter.read()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(_HEARTBEAT_S):
            try:
                self._events.write("heartbeat", use=self._meter.read())
            except (OSError, StorageFull):
                continue  # the next beat may find room again; the result carries the use anyway


def write_result(folder: Path, result: RunResult) -> None:
    finite = msgspec.structs.replace(result, metrics=_finite(result.metrics))
    write_atomic(folder / "result.json", msgspec.json.encode(finite))


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    """JSON has no NaN: a metric that is not finite has not been measured, and is left out."""
    return {name: value for name, value in values.items() if math.isfinite(value)}
