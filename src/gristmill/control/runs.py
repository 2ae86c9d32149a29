"""Runs as the API sees them: submitted, shown, cancelled, resumed; their events and logs by byte offset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gristmill.control import records
from gristmill.control.access import Caller
from gristmill.control.log_pages import log_page, read_page
from gristmill.control.resources import capacity, check_possible
from gristmill.control.run_folders import decode_event
from gristmill.control.run_requests import Wanted, wanted
from gristmill.control.state import Run
from gristmill.core.errors import Conflict, NotFound
from gristmill.core.ids import new_id
from gristmill.core.types import RunKind, RunState

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

Document = dict[str, Any]


def submit(platform: Platform, by: Caller, request: Document) -> Document:
    with platform.database.write() as connection:
        asked = wanted(platform, connection, by.tenant, request)
        check_possible(asked.resources, capacity(platform.settings))
        run = _row(platform, by.tenant, asked)
        records.add_run(connection, run)
        records.note(connection, by.tenant, run["created_at"], by.key, "runs.submit", run["id"], kind=run["kind"])
    platform.wake()
    return show(platform, by.tenant, run["id"])


def _row(platform: Platform, tenant: str, asked: Wanted) -> Document:
    return {
        "id": new_id("run"),
        "tenant": tenant,
        "kind": str(asked.kind),
        "state": str(RunState.queued),
        "name": asked.name,
        "priority": asked.priority,
        "attempt": 0,
        "request": asked.request,
        "resources": msgspec.to_builtins(asked.resources),
        "progress": {},
        "metrics": {},
        "report": {},
        "use": {},
        "created_at": platform.clock.now(),
        "cancel": False,
    }


def show(platform: Platform, tenant: str, run_id: str) -> Document:
    return _document(_find(platform, tenant, run_id))


def list_runs(platform: Platform, tenant: str, limit: int) -> list[Document]:
    with platform.database.read() as connection:
        return [_document(run) for run in records.tenant_runs(connection, tenant, limit)]


def cancel(platform: Platform, by: Caller, run_id: str) -> Document:
    with platform.database.write() as connection:
        run = _found(records.run(connection, run_id, by.tenant), run_id)
        if RunState(run.state).ended:
            raise Conflict(f"Run {run_id} is {run.state} already.")
        if run.state == RunState.queued:
            now = platform.clock.now()
            records.update_run(connection, run_id, state=str(RunState.cancelled), cancel=True, ended_at=now)
        else:
            records.update_run(connection, run_id, cancel=True)
        records.note(connection, by.tenant, platform.clock.now(), by.key, "runs.cancel", run_id)
    platform.wake()
    return show(platform, by.tenant, run_id)


def resume(platform: Platform, by: Caller, run_id: str) -> Document:
    with platform.database.write() as connection:
        run = _found(records.run(connection, run_id, by.tenant), run_id)
        if run.state not in (RunState.failed, RunState.cancelled):
            raise Conflict(f"Run {run_id} is {run.state}: only a failed or cancelled run is resumed.")
        records.update_run(
            connection,
            run_id,
            state=str(RunState.queued),
            cancel=False,
            error=None,
            ended_at=None,
            progress=run.progress | {"deaths": 0},
        )
        records.note(connection, by.tenant, platform.clock.now(), by.key, "runs.resume", run_id)
    platform.wake()
    return show(platform, by.tenant, run_id)


def events(platform: Platform, tenant: str, run_id: str, after: int) -> Document:
    """The state is read before the file: once it says that the run has ended, the file holds all of it."""
    state = _find(platform, tenant, run_id).state
    data = read_page(platform.settings.runs / run_id / "events.jsonl", after)
    whole = data[: data.rfind(b"\n") + 1]
    found = [msgspec.to_builtins(event) for line in whole.splitlines() if (event := decode_event(line)) is not None]
    return {"events": found, "next": after + len(whole), "state": state}


def exported(platform: Platform, tenant: str, run_id: str) -> Path:
    """The folder of the bundle that an export run made. Raises NotFound."""
    run = _find(platform, tenant, run_id)
    folder = platform.settings.runs / run_id / "bundle"
    if run.kind != RunKind.export or run.state != RunState.succeeded or not folder.is_dir():
        raise NotFound(f"Run {run_id} has exported nothing.")
    return folder


def logs(platform: Platform, tenant: str, run_id: str, after: int, lines: int | None) -> Document:
    """The state is read before the file, as with events."""
    ended = RunState(_find(platform, tenant, run_id).state).ended
    return {**log_page(platform.settings.runs / run_id, after, lines), "ended": ended}


def _find(platform: Platform, tenant: str, run_id: str) -> Run:
    with platform.database.read() as connection:
        return _found(records.run(connection, run_id, tenant), run_id)


def _found(run: Run | None, run_id: str) -> Run:
    if run is None:
        raise NotFound(f"There is no run {run_id!r}: `gristmill runs list` shows what there is.")
    return run


def _document(run: Run) -> Document:
    return {key: value for key, value in run._asdict().items() if key != "cancel"}
