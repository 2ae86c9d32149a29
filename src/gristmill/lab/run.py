"""The process of a run: `python -m gristmill.lab.run FOLDER`. Opens no database; its folder is all it touches."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from gristmill.core import log
from gristmill.core.errors import GristmillError, Unprocessable
from gristmill.core.processes import claim
from gristmill.core.threads import yield_early
from gristmill.core.types import RunKind, RunResult, RunSpec, RunState
from gristmill.frameworks.protocol import Cancelled
from gristmill.lab.evaluation import evaluate_run
from gristmill.lab.events import Events, Heartbeat, write_result
from gristmill.lab.export import export_run
from gristmill.lab.imports.importing import import_run
from gristmill.lab.time_limit import limited
from gristmill.lab.train import train

_LONGEST_IMPORT_S, _SLOWEST_BYTES_PER_S = 900.0, 5e6
_LONGEST_DOWNLOAD_S = 6 * 3600.0
logger = logging.getLogger("gristmill.run")
Outcome = Callable[[RunSpec, Path, Events, Heartbeat], RunResult]


def main(folder: Path) -> int:
    """Exit status 0 when a result was written, 1 when not even that was possible."""
    claim(folder)
    yield_early()
    log.configure()
    spec = msgspec.json.decode((folder / "run.json").read_bytes(), type=RunSpec)
    log.request_id.set(spec.id)
    events = Events(folder, spec.attempt)
    signal.signal(signal.SIGTERM, lambda *_: events.cancel())
    heartbeat = Heartbeat(events, spec.resources.gpus)
    result = _outcome(spec, folder, events, heartbeat)
    heartbeat.stop()
    try:
        write_result(folder, result)
        events.write("ended", message=result.error or str(result.state), use=result.use)
    except GristmillError as error:
        logger.error("the result could not be written: %s", error.message)
        return 1
    return 0


def _outcome(spec: RunSpec, folder: Path, events: Events, heartbeat: Heartbeat) -> RunResult:
    try:
        events.write("started", message=f"attempt {spec.attempt}")
        return _KINDS.get(spec.kind, _refuse)(spec, folder, events, heartbeat)
    except Cancelled:
        return _ended(spec, heartbeat, RunState.cancelled, None)
    except GristmillError as error:
        logger.exception("the run failed")
        return _ended(spec, heartbeat, RunState.failed, error.message)
    except MemoryError:
        logger.exception("the run failed")
        return _ended(spec, heartbeat, RunState.failed, "The run needs more memory than it was granted: ask for more.")
    except Exception as error:  # whatever a framework raises: one sentence for the user, the traceback for the log
        logger.exception("the run failed")
        first_line = str(error).strip().split("\n", 1)[0][:300]
        return _ended(spec, heartbeat, RunState.failed, f"The run failed: {type(error).__name__}: {first_line}")


def _train(spec: RunSpec, folder: Path, events: Events, heartbeat: Heartbeat) -> RunResult:
    shutil.rmtree(folder / "bundle", ignore_errors=True)  # of an attempt that died while packaging
    packaged = train(spec, folder, events, heartbeat)
    result = _ended(spec, heartbeat, RunState.succeeded, None)
    return msgspec.structs.replace(result, metrics=packaged.metrics, bundle_digest=packaged.digest)


def _evaluate(spec: RunSpec, folder: Path, events: Events, heartbeat: Heartbeat) -> RunResult:
    metrics, report = evaluate_run(spec, events)
    return msgspec.structs.replace(_ended(spec, heartbeat, RunState.succeeded, None), metrics=metrics, report=report)


def _import(spec: RunSpec, folder: Path, events: Events, heartbeat: Heartbeat) -> RunResult:
    within_s = import_limit_s(spec)
    with limited(within_s, lambda: _give_up(spec, folder, events, heartbeat, within_s)):
        packaged = import_run(spec, folder, events)
    return msgspec.structs.replace(_ended(spec, heartbeat, RunState.succeeded, None), bundle_digest=packaged.digest)


def import_limit_s(spec: RunSpec) -> float:
    """By what was uploaded; a download takes its time."""
    if spec.imported is None or spec.imported.upload is None:
        return _LONGEST_DOWNLOAD_S
    return _LONGEST_IMPORT_S + Path(spec.imported.upload).stat().st_size / _SLOWEST_BYTES_PER_S


def _give_up(spec: RunSpec, folder: Path, events: Events, heartbeat: Heartbeat, within_s: float) -> None:
    """Ends the process: what it is stuck in cannot be interrupted."""
    message = (
        f"The model was not taken in within {within_s:.0f} seconds: it may compute without end; export it without "
        "loops that do."
    )
    for left in ("bundle", "import"):
        shutil.rmtree(folder / left, ignore_errors=True)
    write_result(folder, _ended(spec, heartbeat, RunState.failed, message))
    events.write("ended", message=message, use=heartbeat.use())
    os._exit(0)


def _export(spec: RunSpec, folder: Path, events: Events, heartbeat: Heartbeat) -> RunResult:
    packaged = export_run(spec, folder, events)
    report = {"format": spec.format, "digest": packaged.digest}
    return msgspec.structs.replace(_ended(spec, heartbeat, RunState.succeeded, None), report=report)


def _refuse(spec: RunSpec, folder: Path, events: Events, heartbeat: Heartbeat) -> RunResult:
    raise Unprocessable(f"Runs of kind {spec.kind!r} cannot be started here.")


_KINDS: dict[RunKind, Outcome] = {
    RunKind.train: _train,
    RunKind.evaluate: _evaluate,
    RunKind.import_: _import,
    RunKind.export: _export,
}


def _ended(spec: RunSpec, heartbeat: Heartbeat, state: RunState, error: str | None) -> RunResult:
    return RunResult(state=state, attempt=spec.attempt, use=heartbeat.use(), error=error)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
