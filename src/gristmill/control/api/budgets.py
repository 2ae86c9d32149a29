"""Budgets of a tenant, its keys, models and endpoints."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from gristmill.books import budgets
from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.core.budgets import BudgetPeriod
from gristmill.core.periods import begin

router = APIRouter(prefix="/books/budgets")


class NewBudget(BaseModel):
    model_config = ConfigDict(extra="forbid")
    amount: str
    period: BudgetPeriod = BudgetPeriod.total
    begins: str | None = None
    hard: bool = False


@router.put("/{place}")
def set_budget(place: str, wanted: NewBudget, here: Here, by: Developer) -> Json:
    """Set the budget of `tenant`, key:ID, project:NAME, model:NAME or endpoint:NAME.

    It counts from `begins` on, or from today.
    """
    now = here.clock.now()
    begins_at = now if wanted.begins is None else begin(wanted.begins, "begins")
    with here.database.write() as connection:
        budget = budgets.set_budget(
            connection, by.tenant, place, wanted.amount, wanted.period, begins_at, now, wanted.hard
        )
    here.wake()
    return Json(budget.document())


@router.get("")
def list_budgets(here: Here, by: Developer) -> Json:
    with here.database.read() as connection:
        return Json([budget.document() for budget in budgets.list_budgets(connection, by.tenant)])


@router.delete("/{place}")
def remove_budget(place: str, here: Here, by: Developer) -> Json:
    with here.database.write() as connection:
        budgets.remove_budget(connection, by.tenant, place)
    here.wake()
    return Json({"place": place})
