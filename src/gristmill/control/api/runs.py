"""Runs: submit, follow, cancel, resume."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.control.api.folders import packed
from gristmill.control.api.pages import Lines, Offset
from gristmill.core.types import RunState

router = APIRouter()
POLL_S = 0.1


@router.post("/runs", status_code=201)
def submit(request: Annotated[dict[str, Any], Body()], here: Here, by: Developer) -> Json:
    """{kind: "train", recipe, priority?} or {kind: "evaluate", version, dataset, against?} or {kind: "import",
    source, upload?, told?} or {kind: "export", version, format} → the queued run."""
    return Json(here.submit_run(by, request), status_code=201)


@router.get("/runs")
def list_runs(here: Here, by: Developer, limit: Annotated[int, Query(ge=1, le=10_000)] = 200) -> Json:
    """Newest first."""
    return Json(here.runs(by.tenant, limit))


@router.get("/runs/{run}")
def show(run: str, here: Here, by: Developer) -> Json:
    return Json(here.run(by.tenant, run))


@router.get("/runs/{run}/events")
async def events(
    run: str, here: Here, by: Developer, after: Offset = 0, wait_s: Annotated[float, Query(ge=0, le=30)] = 0
) -> Json:
    """{events, next, state} from byte `after` on; waits up to `wait_s` for the first unless the run has ended."""
    deadline = here.clock.monotonic() + wait_s
    while True:
        page = await run_in_threadpool(here.run_events, by.tenant, run, after)
        over = RunState(page["state"]).ended or here.clock.monotonic() >= deadline
        if page["events"] or over or here.stopping.is_set():
            return Json(page)
        await asyncio.sleep(POLL_S)


@router.get("/runs/{run}/logs")
def logs(run: str, here: Here, by: Developer, after: Offset = 0, lines: Lines = None) -> Json:
    """{text, next, ended}: what the run's process wrote, from byte `after` on, or its last `lines` lines."""
    return Json(here.run_logs(by.tenant, run, after, lines))


@router.get("/runs/{run}/bundle")
def exported(run: str, here: Here, by: Developer) -> FileResponse:
    """What an export run made, as a tar."""
    return packed(here, here.exported(by.tenant, run), run)


@router.post("/runs/{run}/cancel", status_code=202)
def cancel(run: str, here: Here, by: Developer) -> Json:
    return Json(here.cancel_run(by, run), status_code=202)


@router.post("/runs/{run}/resume", status_code=202)
def resume(run: str, here: Here, by: Developer) -> Json:
    return Json(here.resume_run(by, run), status_code=202)
