"""What is decided about costs: who shares a pool, what belongs to a version, how it is written down, re-rating."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from gristmill.books import capitalisation
from gristmill.books.allocation import Spread, allocate
from gristmill.books.amortization import Method
from gristmill.books.posting import telling
from gristmill.books.rerate import rerate
from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.core.ids import derived_id, new_id
from gristmill.core.periods import begin

router = APIRouter(prefix="/books")


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Allocation(Body):
    id: str = Field(default_factory=lambda: new_id("told"), min_length=1, max_length=100)
    pool: str = "team"
    spread: Spread = Spread.proportional
    metric: str | None = None
    on: list[str] = []
    weights: list[int] = []


class WriteDown(Body):
    version: str
    method: Method
    units: int | None = Field(None, ge=1)
    days: float | None = Field(None, gt=0, lt=1e6)


class Inheritance(Body):
    version: str
    parent: str
    share: str


class Capitalisation(Body):
    run: str
    version: str


class Rerating(Body):
    since: str
    dry_run: bool = False


@router.post("/allocations", status_code=201)
def allocations(wanted: Allocation, here: Here, by: Developer) -> Json:
    """Spread a pool's shared cost: uniform, proportional (to `weights`, or each one's own cost), or by a metric."""
    with telling(here.database) as connection:
        event = allocate(
            connection, by.tenant, wanted.pool, wanted.spread, here.clock.now(), on=wanted.on, metric=wanted.metric,
            weights=wanted.weights, id_=derived_id("cost.allocated", by.tenant, wanted.id),
        )  # fmt: skip
    return Json({"event": event.id, **event.payload}, status_code=201)


@router.post("/write-downs", status_code=201)
def write_downs(wanted: WriteDown, here: Here, by: Developer) -> Json:
    """How a version is written down from now on, and how many units it is expected to serve."""
    with here.database.write() as connection:
        events = capitalisation.choose_write_down(
            connection, by.tenant, wanted.version, wanted.method, here.clock.now(), units=wanted.units,
            days=wanted.days,
        )  # fmt: skip
    return Json({"events": events, **wanted.model_dump(mode="json")}, status_code=201)


@router.post("/inheritances", status_code=201)
def inheritances(wanted: Inheritance, here: Here, by: Developer) -> Json:
    """A version takes over a share of what its parent cost."""
    now = here.clock.now()
    with here.database.write() as connection:
        event = capitalisation.inherit(connection, by.tenant, wanted.version, wanted.parent, wanted.share, now)
    return Json({"event": event, **wanted.model_dump()}, status_code=201)


@router.post("/capitalisations", status_code=201)
def capitalisations(wanted: Capitalisation, here: Here, by: Developer) -> Json:
    """What a run cost (a failed try, a trial) is part of a version's R&D."""
    with here.database.write() as connection:
        event = capitalisation.capitalise(connection, by.tenant, wanted.run, wanted.version, here.clock.now())
    return Json({"event": event, **wanted.model_dump()}, status_code=201)


@router.post("/reratings")
def reratings(wanted: Rerating, here: Here, by: Developer) -> Json:
    """Rate what happened since `since` again by the rates known now; `dry_run` only says what that would change."""
    with here.database.write() as connection:
        document = rerate(connection, by.tenant, begin(wanted.since), here.clock.now(), dry_run=wanted.dry_run)
    return Json(document, status_code=200 if wanted.dry_run else 201)
