"""How an attempt of a run ends: each end is one transaction, its cost in the outbox with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gristmill.control import bookkeeping, records, uploads
from gristmill.control.platform import Platform
from gristmill.control.state import Run
from gristmill.core.errors import GristmillError
from gristmill.core.faults import fault_point
from gristmill.core.types import Basis, Measure, ResourceUse, RunKind, RunResult, RunState
from gristmill.registry import bundles, versions

MAX_DEATHS = 3  # in a row without a new checkpoint
_before_end = fault_point("runs.before-end")
_after_end = fault_point("runs.after-end")
_UNKNOWN_USE = ResourceUse(0.0, 0.0, 0, Measure(None, "J", Basis.measured, "the attempt died before it told"))


def ended(platform: Platform, run: Run, result: RunResult) -> None:
    """The attempt wrote a result: done, failed, cancelled, or stopped with the platform and queued again."""
    if result.state == RunState.succeeded and result.bundle_digest is not None:
        _made(platform, run, result)
    elif result.state == RunState.succeeded:
        _close(platform, run, RunState.succeeded, result.use, metrics=result.metrics, report=result.report)
    elif result.state == RunState.cancelled and not run.cancel:
        _close(platform, run, RunState.queued, result.use)
    else:
        _close(platform, run, result.state, result.use, error=result.error)
    if run.kind == RunKind.import_ and result.state in (RunState.succeeded, RunState.failed):
        uploads.forget(platform, run)


def died(platform: Platform, run: Run, use: ResourceUse | None, status: int | None) -> None:
    """The process is gone without a result: queued again for its next attempt, unless it dies again and again."""
    use = use or _UNKNOWN_USE
    if run.cancel:
        _close(platform, run, RunState.cancelled, use)
        return
    deaths = int(run.progress.get("deaths", 0)) + 1
    if deaths < MAX_DEATHS:
        _close(platform, run, RunState.queued, use, progress=run.progress | {"deaths": deaths})
        return
    how = f"by signal {-status}" if status is not None and status < 0 else f"with status {status}" if status else ""
    error = (
        f"The run's process died {deaths} times in a row {how}".rstrip()
        + ": its log may tell why, and more memory may help."
    )
    _close(platform, run, RunState.failed, use, error=error, progress=run.progress | {"deaths": deaths})


def refused(platform: Platform, run: Run, error: GristmillError) -> None:
    """The attempt could not be started: its data or versions are gone or corrupt, or the disk is full."""
    with platform.database.write() as connection:
        values = {"state": str(RunState.failed), "error": error.message, "ended_at": platform.clock.now()}
        records.update_run(connection, run.id, **values)


def _made(platform: Platform, run: Run, result: RunResult) -> None:
    folder = Path(platform.settings.runs / run.id / "bundle")
    try:
        digest, manifest = bundles.store_bundle(folder, platform.blobs)
    except GristmillError as error:
        _close(platform, run, RunState.failed, result.use, error=error.message)
        return
    now = platform.clock.now()
    _before_end()
    with platform.database.write() as connection:
        number = versions.register(connection, run.tenant, manifest, digest, run.id, now)
        reference = f"{manifest.name}@{number}"
        _end(connection, run, RunState.succeeded, result.use, now, metrics=result.metrics, made=reference, error=None)
        bookkeeping.version_made(connection, run.tenant, manifest, number, run.id, now)
    _after_end()


def _close(platform: Platform, run: Run, state: RunState, use: ResourceUse, **values: Any) -> None:
    _before_end()
    with platform.database.write() as connection:
        _end(connection, run, state, use, platform.clock.now(), **values)
        if state == RunState.succeeded and run.kind == RunKind.evaluate:
            _note_evaluation(connection, run, values["metrics"])
    _after_end()


def _end(connection: records.Connection, run: Run, state: RunState, use: ResourceUse, at: float, **values: Any) -> None:
    total = _added(run.use, use)
    over = {"ended_at": at} if state.ended else {}
    told = {"progress": run.progress, "metrics": run.metrics}
    records.update_run(connection, run.id, **(told | over | values), state=str(state), use=msgspec.to_builtins(total))
    bookkeeping.run_used(connection, run, str(state), use, at)


def _note_evaluation(connection: records.Connection, run: Run, metrics: dict[str, float]) -> None:
    version = versions.resolve(connection, run.tenant, run.request["version"])
    named = {f"{run.request['dataset']}/{name}": value for name, value in metrics.items()}
    versions.add_metrics(connection, version, named)


def _added(before: dict[str, Any], use: ResourceUse) -> ResourceUse:
    """All attempts together: time and energy add up, memory is the peak."""
    if not before:
        return use
    old = msgspec.convert(before, ResourceUse)
    known = [one.value for one in (old.energy, use.energy) if one.value is not None]
    source = use.energy if use.energy.value is not None else old.energy
    return ResourceUse(
        old.wall_s + use.wall_s,
        old.cpu_s + use.cpu_s,
        max(old.peak_memory_bytes, use.peak_memory_bytes),
        msgspec.structs.replace(source, value=sum(known) if known else None),
        None if old.gpu_s is None and use.gpu_s is None else (old.gpu_s or 0.0) + (use.gpu_s or 0.0),
    )
