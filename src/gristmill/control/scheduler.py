"""The scheduler: it follows the runs that run, and starts those that wait when they fit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from gristmill.control import attempts, records
from gristmill.control.platform import Platform
from gristmill.control.resources import admissible, capacity
from gristmill.control.run_folders import Following, placed_attempt, result_of, write_spec
from gristmill.control.run_specs import spec_of
from gristmill.control.state import Run
from gristmill.core.errors import GristmillError
from gristmill.core.faults import fault_point
from gristmill.core.types import RunState
from gristmill.engines.protocol import Engine, ProcessSpec

_log = logging.getLogger(__name__)
_before_start = fault_point("runs.before-start")
_after_start = fault_point("runs.after-start")
HUNG_AFTER_S = 15.0  # without a heartbeat, which comes every second
STARTING_S = 120.0  # without a first word: imports and data may take their time
CANCEL_WITHIN_S = 30.0  # to save a checkpoint
PROGRESS_EVERY_S = 0.5  # how often what a run tells is written down
DRAIN_POLL_S = 0.1
DRAIN_GRACE_S = 5.0  # after SIGKILL


class Scheduler:
    """Owned by the controller's thread. Holds only what it can find out again from the runs' folders."""

    def __init__(self, platform: Platform, engine: Engine) -> None:
        self._platform = platform
        self._engine = engine
        self._following: dict[str, Following] = {}
        self._told: dict[str, float] = {}  # runs that were sent SIGTERM, and when
        self._written: dict[str, float] = {}  # when a run's progress was last written down
        self._runs = 0  # that were open at the last look
        self._code = version("gristmill")

    def step(self) -> None:
        """Follow, then start."""
        for run in self._open():
            if run.state != RunState.queued:
                self._guarded(self._follow, run)
        runs = self._open()
        self._runs = len(runs)
        with self._platform.database.read() as connection:
            replicas = [replica.granted for replica in records.live_replicas(connection)]
        queued = [run for run in runs if run.state == RunState.queued]
        running = [run.granted for run in runs if run.state != RunState.queued]
        for run in admissible(queued, running, replicas, capacity(self._platform.settings)):
            self._guarded(self._start, run)

    def calm(self) -> bool:
        """Whether no run waits or runs."""
        return not self._runs

    def drain(self) -> None:
        """SIGTERM to every run, and wait: each saves a checkpoint and is queued again for the next start."""
        deadline = self._now() + self._platform.settings.drain_timeout_s
        while runs := [run for run in self._open() if run.state != RunState.queued]:
            if self._now() > deadline + DRAIN_GRACE_S:
                return
            for run in runs:
                if self._now() > deadline:
                    self._engine.kill(self._folder(run))
                self._tell(run)
                self._guarded(self._follow, run)
            time.sleep(DRAIN_POLL_S)

    def _guarded(self, act: Callable[[Run], None], run: Run) -> None:
        """One run's trouble stops no other."""
        try:
            act(run)
        except GristmillError as error:
            _log.warning("run %s: %s", run.id, error.message)
        except Exception:  # a bug met on one run; the others go on, and so does the platform's stop
            _log.exception("run %s could not be followed", run.id)

    def _open(self) -> list[Run]:
        with self._platform.database.read() as connection:
            return records.open_runs(connection)

    def _folder(self, run: Run) -> str:
        return str(self._platform.settings.runs / run.id)

    def _now(self) -> float:
        return self._platform.clock.monotonic()

    # --- start

    def _start(self, run: Run) -> None:
        """The attempt is written down before it is placed: a controller that dies between sees it by `run.json`."""
        run = run._replace(attempt=run.attempt + 1, state=str(RunState.starting))
        started_at = run.started_at or self._platform.clock.now()
        with self._platform.database.write() as connection:
            records.update_run(connection, run.id, state=run.state, attempt=run.attempt, started_at=started_at)
        self._place(run)

    def _place(self, run: Run) -> None:
        folder = self._folder(run)
        try:
            write_spec(Path(folder), spec_of(self._platform, run, self._code))
        except GristmillError as error:
            attempts.refused(self._platform, run, error)
            return
        _before_start()
        self._engine.start(ProcessSpec("gristmill.lab.run", (folder,), folder, run.granted))
        _after_start()

    # --- follow

    def _follow(self, run: Run) -> None:
        folder = Path(self._folder(run))
        alive = self._engine.alive(str(folder))  # asked first: what is dead now has written all that it will
        run = self._progress(run, folder)
        result = result_of(folder, run.attempt)
        if alive:
            self._watch_over(run, str(folder))
        elif result is not None:
            attempts.ended(self._platform, run, result)
            self._forget(run)
        elif placed_attempt(folder) < run.attempt:
            self._place(run)
        else:
            use, status = self._following[run.id].use, self._engine.exit_status(str(folder))
            attempts.died(self._platform, run, use, status)
            self._forget(run)

    def _progress(self, run: Run, folder: Path) -> Run:
        """The run with what it has told; written down now and then, and when it starts to tell."""
        following = self._following.get(run.id)
        if following is None or following.attempt != run.attempt:
            following = Following(folder, run.attempt, run.progress, run.metrics, self._now())
            self._following[run.id] = following
        if following.read():
            following.heard_at = self._now()
        state = str(RunState.running) if following.started else run.state
        new = run._replace(state=state, progress=following.progress, metrics=following.metrics)
        due = self._now() - self._written.get(run.id, -PROGRESS_EVERY_S) >= PROGRESS_EVERY_S
        if new != run and (due or new.state != run.state):
            self._written[run.id] = self._now()
            with self._platform.database.write() as connection:
                records.update_run(connection, run.id, state=state, progress=new.progress, metrics=new.metrics)
        return new

    def _watch_over(self, run: Run, folder: str) -> None:
        """Pass a cancellation on; end what does not end, or has told nothing for long."""
        if run.cancel:
            self._tell(run)
            if self._now() - self._told[run.id] > CANCEL_WITHIN_S:
                self._engine.kill(folder)
        following = self._following[run.id]
        longest = HUNG_AFTER_S if following.started else STARTING_S
        if self._now() - following.heard_at > longest:
            _log.warning("run %s has told nothing for %g s and is killed", run.id, longest)
            self._engine.kill(folder)

    def _tell(self, run: Run) -> None:
        if run.id not in self._told:
            self._told[run.id] = self._now()
            self._engine.terminate(self._folder(run))

    def _forget(self, run: Run) -> None:
        for held in (self._following, self._told, self._written):
            held.pop(run.id, None)
