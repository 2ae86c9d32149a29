"""The books: entries, rates, reversals, the check."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from gristmill.books import posting, rate_cards
from gristmill.books.check import check as check_books
from gristmill.books.entries import entries as list_entries
from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.core.periods import begin

router = APIRouter(prefix="/books")


class Rate(BaseModel):
    model_config = ConfigDict(extra="forbid")
    card: str
    item: str
    unit: str
    price: str
    valid_from: str | None = None
    valid_to: str | None = None
    note: str = ""


class Reversal(BaseModel):
    model_config = ConfigDict(extra="forbid")
    event: str
    reason: str = Field(min_length=1)


@router.get("/entries")
def entries(
    here: Here,
    by: Developer,
    account: str | None = None,
    event: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> Json:
    """Postings, newest first."""
    with here.database.read() as connection:
        return Json(list_entries(connection, by.tenant, account=account, event=event, limit=limit))


@router.get("/rates")
def rates(here: Here, by: Developer) -> Json:
    """Every rate with its validity; old ones stay."""
    with here.database.read() as connection:
        return Json(rate_cards.list_rates(connection, by.tenant))


@router.post("/rates", status_code=201)
def set_rate(rate: Rate, here: Here, by: Developer) -> Json:
    """A new price of an item from `valid_from` (now) on."""
    now = here.clock.now()
    wanted: dict[str, Any] = rate.model_dump(exclude={"valid_from", "valid_to"})
    with here.database.write() as connection:
        made = rate_cards.set_rate(
            connection,
            by.tenant,
            **wanted,
            valid_from=now if rate.valid_from is None else begin(rate.valid_from, "valid_from"),
            valid_to=None if rate.valid_to is None else begin(rate.valid_to, "valid_to"),
            known_from=now,
        )
    here.wake()  # gateways reserve by it
    return Json(made, status_code=201)


@router.post("/reversals", status_code=201)
def reverse(wanted: Reversal, here: Here, by: Developer) -> Json:
    """Reverse a mistake with a counter-event; nothing is changed."""
    with here.database.write() as connection:
        made = posting.reverse(connection, by.tenant, wanted.event, wanted.reason, here.clock.now())
    return Json({"event": made, "reverses": wanted.event}, status_code=201)


@router.get("/check")
def check(here: Here, by: Developer) -> Json:
    """{problems, usage_records, ...}: whether the books balance and every usage record is posted once."""
    with here.database.read() as connection:
        return Json(check_books(connection).to_dict())
