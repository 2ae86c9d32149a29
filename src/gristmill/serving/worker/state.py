"""What a worker says of itself; written by the computing thread, read by those that answer pings."""

from __future__ import annotations

import time

from gristmill.core.measurement import Meter
from gristmill.core.supervision import Pong
from gristmill.core.types import AdapterRef


class WorkerState:
    """Single values, each set whole: no lock is needed."""

    def __init__(self, gpus: int = 0) -> None:
        self.state = "loading"
        self.error: str | None = None
        self.rows = 0
        self.busy_total_s = 0.0
        self.wanted: tuple[AdapterRef, ...] | None = None  # what the controller told last; None: it was done
        self.adapters: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self._busy_since: float | None = None
        self._meter = Meter(gpus=gpus)
        self._cpu_before = 0.0
        self._joules_a_cpu_s = self._meter.read().energy_a_cpu_s  # so far: read anew with every answer to a ping
        self.joules: float | None = None  # of the last batch; None: no counter tells

    def begin(self) -> float:
        self._busy_since = now = time.monotonic()
        self._cpu_before = time.process_time()
        return now

    def end(self, started: float, rows: int) -> float:
        """Count a batch; gives the seconds it took. `joules` is then its energy."""
        rate = self._joules_a_cpu_s
        self.joules = None if rate is None else (time.process_time() - self._cpu_before) * rate
        took = time.monotonic() - started
        self._busy_since = None
        self.rows += rows
        self.busy_total_s += took
        return took

    def fail(self, sentence: str) -> None:
        self.error = sentence
        self.state = "failed"

    def pong(self) -> Pong:
        since = self._busy_since
        busy_s = 0.0 if since is None else time.monotonic() - since
        use = self._meter.read()
        self._joules_a_cpu_s = use.energy_a_cpu_s
        return Pong(
            self.state, busy_s, self.rows, self.busy_total_s, use, self.error, self.adapters, self.refused
        )  # fmt: skip
