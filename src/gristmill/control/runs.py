"""Runs as the API sees them: submitted, shown, cancelled, resumed; their events and logs by byte offset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gristmill.control import records, uploads
from gristmill.control.access import Caller
from gristmill.control.resources import capacity, check_possible
from gristmill.control.run_folders import decode_event
from gristmill.control.state import Run
from gristmill.core import plugins
from gristmill.core.errors import Conflict, NotFound, Unprocessable
from gristmill.core.ids import check_name, new_id
from gristmill.core.types import Resources, RunKind, RunState, Told
from gristmill.data import records as datasets
from gristmill.registry import versions
from gristmill.tasks.recipe import parse_recipe

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

Document = dict[str, Any]
PAGE_BYTES = 1 << 20  # of events or log text in one answer


class _Train(msgspec.Struct, forbid_unknown_fields=True, tag="train", tag_field="kind"):
    recipe: dict[str, Any]
    priority: int | None = None


class _Evaluate(msgspec.Struct, forbid_unknown_fields=True, tag="evaluate", tag_field="kind"):
    version: str
    dataset: str
    against: str | None = None
    priority: int = 0
    resources: Resources = Resources()


class _Import(msgspec.Struct, forbid_unknown_fields=True, tag="import", tag_field="kind"):
    source: str
    upload: str | None = None
    told: Told = Told()
    priority: int = 0
    resources: Resources = Resources()


class _Wanted(msgspec.Struct):
    """A request with every name resolved to a version: it means the same whenever the run starts."""

    kind: RunKind
    name: str
    request: Document
    resources: Resources
    priority: int


def submit(platform: Platform, by: Caller, request: Document) -> Document:
    try:
        asked = msgspec.convert(request, _Train | _Evaluate | _Import)
    except msgspec.ValidationError as error:
        kind = request.get("kind")
        raise Unprocessable(f"The run that is asked for ({kind!r}) is not valid: {error}.", field="kind") from None
    with platform.database.write() as connection:
        if isinstance(asked, _Train):
            wanted = _train(connection, by.tenant, asked)
        elif isinstance(asked, _Import):
            wanted = _import(platform, by.tenant, asked)
        else:
            wanted = _evaluate(connection, by.tenant, asked)
        check_possible(wanted.resources, capacity(platform.settings))
        run = _row(platform, by.tenant, wanted)
        records.add_run(connection, run)
        records.note(connection, by.tenant, run["created_at"], by.key, "runs.submit", run["id"], kind=run["kind"])
    platform.wake()
    return show(platform, by.tenant, run["id"])


def _train(connection: records.Connection, tenant: str, asked: _Train) -> _Wanted:
    recipe = parse_recipe(asked.recipe)
    plugins.load("tasks", recipe.task)
    if recipe.framework not in plugins.names("trainers"):
        raise Unprocessable(
            f"There is no trainer for {recipe.framework!r}: installed are {', '.join(plugins.names('trainers'))}.",
            field="framework",
        )
    dataset = datasets.get(connection, tenant, recipe.data.dataset, recipe.data.version)
    pinned = recipe.model_dump(mode="json")
    pinned["data"]["version"] = dataset.version
    resources = Resources(recipe.resources.cores, recipe.resources.memory, recipe.resources.gpus)
    priority = recipe.priority if asked.priority is None else asked.priority
    return _Wanted(RunKind.train, recipe.name, {"recipe": pinned, "dataset": dataset.reference}, resources, priority)


def _evaluate(connection: records.Connection, tenant: str, asked: _Evaluate) -> _Wanted:
    subject = versions.resolve(connection, tenant, asked.version)
    rival = versions.resolve(connection, tenant, asked.against) if asked.against else None
    dataset = datasets.resolve(connection, tenant, asked.dataset)
    request = {
        "version": subject.reference,
        "dataset": dataset.reference,
        "against": rival.reference if rival else None,
    }
    return _Wanted(RunKind.evaluate, subject.reference, request, asked.resources, asked.priority)


def _import(platform: Platform, tenant: str, asked: _Import) -> _Wanted:
    if asked.upload is None and "://" not in asked.source:
        raise Unprocessable("An import needs an upload, or a source such as hf://ORG/NAME.", field="upload")
    if asked.upload is not None:
        uploads.find(platform, tenant, asked.upload)
    if asked.told.name is not None:
        check_name(asked.told.name, "model")
    if asked.told.task is not None:
        plugins.load("tasks", asked.told.task)
    request = {"source": asked.source, "upload": asked.upload, "told": msgspec.to_builtins(asked.told)}
    return _Wanted(RunKind.import_, asked.told.name or asked.source, request, asked.resources, asked.priority)


def _row(platform: Platform, tenant: str, wanted: _Wanted) -> Document:
    return {
        "id": new_id("run"),
        "tenant": tenant,
        "kind": str(wanted.kind),
        "state": str(RunState.queued),
        "name": wanted.name,
        "priority": wanted.priority,
        "attempt": 0,
        "request": wanted.request,
        "resources": msgspec.to_builtins(wanted.resources),
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
    data = _page(platform.settings.runs / run_id / "events.jsonl", after)
    whole = data[: data.rfind(b"\n") + 1]
    found = [msgspec.to_builtins(event) for line in whole.splitlines() if (event := decode_event(line)) is not None]
    return {"events": found, "next": after + len(whole), "state": state}


def logs(platform: Platform, tenant: str, run_id: str, after: int) -> Document:
    _find(platform, tenant, run_id)
    data = _page(platform.settings.runs / run_id / "log.txt", after)
    return {"text": data.decode(errors="replace"), "next": after + len(data)}


def _page(path: Path, after: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(after)
            return file.read(PAGE_BYTES)
    except FileNotFoundError:  # it has not started yet
        return b""


def _find(platform: Platform, tenant: str, run_id: str) -> Run:
    with platform.database.read() as connection:
        return _found(records.run(connection, run_id, tenant), run_id)


def _found(run: Run | None, run_id: str) -> Run:
    if run is None:
        raise NotFound(f"There is no run {run_id!r}: `gristmill runs list` shows what there is.")
    return run


def _document(run: Run) -> Document:
    return {key: value for key, value in run._asdict().items() if key != "cancel"}
