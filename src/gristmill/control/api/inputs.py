"""Inputs that people tell the books: hours, services, what was paid for data. The same `id` counts once."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from gristmill.books.machines import declare_compute, use_hardware
from gristmill.books.people import declare
from gristmill.books.posting import telling
from gristmill.books.purchases import DataWork, buy_service, pay_data
from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.core.errors import Unprocessable
from gristmill.core.ids import derived_id, new_id
from gristmill.core.periods import begin
from gristmill.core.types import Basis

router = APIRouter(prefix="/books")


class Told(BaseModel):
    """`id`: of the work, the same for every retry; `at`: when it happened (now)."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(default_factory=lambda: new_id("told"), min_length=1, max_length=100)
    at: str | None = None

    def moment(self, now: float) -> float:
        """Raises Unprocessable for what has not happened yet, or before 1970."""
        at = now if self.at is None else begin(self.at, "at")
        if at > now:
            raise Unprocessable(f"{self.at} is in the future: the books hold what has happened.", field="at")
        if at < 0:
            raise Unprocessable(f"{self.at} is before 1970, with which the books' days begin.", field="at")
        return at


class Hours(Told):
    who: str = Field(min_length=1, max_length=100)
    hours: float = Field(gt=0, le=1e6)
    on: str
    rate: str | None = None


class Service(Told):
    name: str
    amount: str
    on: str
    calls: float | None = Field(None, ge=0)


class Data(Told):
    dataset: str
    amount: str
    what: DataWork = DataWork.bought
    by_row: bool = False


class Compute(Told):
    on: str
    gpu_hours: float = Field(0.0, ge=0)
    core_hours: float = Field(0.0, ge=0)
    gib_hours: float = Field(0.0, ge=0)
    kwh: float | None = Field(None, ge=0)
    pue: float = Field(1.0, ge=1, le=10)
    embodied_kg: float = Field(0.0, ge=0)
    hardware: str = ""
    site: str = ""
    basis: Basis = Basis.assumed
    error: float | None = Field(None, ge=0, le=1)


class Hardware(Told):
    name: str
    amount: str
    on: str
    life_days: float = Field(gt=0, lt=1e6)
    days: float = Field(gt=0, lt=1e6)
    left: str | None = None
    share: str = "1"


@router.post("/hours")
def hours(told: Hours, here: Here, by: Developer) -> Json:
    """People's hours on a run, NAME@N (a version, else a dataset), a model, `team` or `shared:POOL`."""
    at, id_ = told.moment(here.clock.now()), derived_id("hours.declared", by.tenant, told.id)
    with telling(here.database) as connection:
        event = declare(connection, by.tenant, told.who, told.hours, told.on, at, rate=told.rate, event_id=id_)
    return _answer(event, told)


@router.post("/services")
def services(told: Service, here: Here, by: Developer) -> Json:
    """A service that was bought for what `on` names: calls of somebody's API, a licence."""
    at = told.moment(here.clock.now())
    with telling(here.database) as connection:
        event = buy_service(connection, by.tenant, told.id, told.name, told.amount, told.on, at, calls=told.calls)
    return _answer(event, told)


@router.post("/data", status_code=201)
def data(told: Data, here: Here, by: Developer) -> Json:
    """What was paid for a dataset version (bought, labelled, cleaned), or, `by_row`, for each of its rows."""
    at = told.moment(here.clock.now())
    with telling(here.database) as connection:
        event = pay_data(
            connection, by.tenant, told.id, told.dataset, told.amount, at, what=told.what, by_row=told.by_row
        )
    return _answer(event, told)


@router.post("/compute", status_code=201)
def compute(told: Compute, here: Here, by: Developer) -> Json:
    """Machine time that was not granted here (a cloud's, a cluster's), its energy, what making it emitted."""
    at, used = told.moment(here.clock.now()), told.model_dump(mode="json", exclude={"id", "at", "on"})
    with telling(here.database) as connection:
        event = declare_compute(connection, by.tenant, told.id, told.on, at, **used)
    return _answer(event, told)


@router.post("/hardware", status_code=201)
def hardware(told: Hardware, here: Here, by: Developer) -> Json:
    """Bought hardware was used: its straight-line share of what it loses over its life."""
    at = told.moment(here.clock.now())
    with telling(here.database) as connection:
        event = use_hardware(
            connection, by.tenant, told.id, told.name, told.amount, told.on, at, life_days=told.life_days,
            days=told.days, left=told.left, share=told.share,
        )  # fmt: skip
    return _answer(event, told)


def _answer(event: str, told: Told) -> Json:
    return Json({"event": event, **told.model_dump(mode="json")}, status_code=201)
