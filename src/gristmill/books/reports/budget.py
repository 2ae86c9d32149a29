"""Budgets: what is used, what is left, how fast it burns, when it is gone."""

from __future__ import annotations

import time
from typing import Any

from gristmill.books import leases
from gristmill.books.budgets import Budget, list_budgets
from gristmill.books.burn import Exhaustion, exhaustion
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found, share
from gristmill.core.budgets import BudgetPeriod
from gristmill.core.periods import DAY_S, day_of, month_of

_BURN_DAYS = 28  # whole weeks
_FARTHEST_DAYS = 36_500
_NOTES = (
    "used = what keys owe for the place's use in this period, in the budget's currency.",
    "A hard budget refuses what it has no money for; leased = what gateways hold of it now or have used and not yet "
    "posted; unsettled = what gateways that died may have used: it counts as used until the budget is set anew.",
    "burn = mean of the last 28 whole days, or of those since the first use; earliest and latest bound the day on "
    "which nothing is left at 95 %, from 7 days on.",
    "A monthly budget begins anew: no day is told that comes after its month.",
)


def report(scope: Scope) -> dict[str, Any]:
    now = time.time() if scope.until is None else scope.until
    rows = [_row(scope, budget, now) for budget in list_budgets(scope.connection, scope.tenant)]
    return found("budget", rows, _NOTES)


def _row(scope: Scope, budget: Budget, now: float) -> dict[str, Any]:
    used = sum(budget.used_by_day(scope.connection, scope.tenant, budget.since(now), now).values())
    daily = _last_days(scope, budget, now)
    held = leases.leased(scope.connection, scope.tenant, budget) if budget.hard else 0
    open_ = leases.unsettled(scope.connection, scope.tenant, budget, now) if budget.hard else 0
    left = budget.micro - used - open_
    return {
        "budget": budget.place,
        "period": budget.period,
        "currency": budget.currency,
        "amount_micro": budget.micro,
        "hard": budget.hard,
        "used_micro": used,
        "leased_micro": held,
        "unsettled_micro": open_,
        "left_micro": left,
        "used_share": share(used, budget.micro),
        "state": "within" if left >= 0 else "over",
        "burn_micro": round(sum(daily) / len(daily)) if daily else 0,
        **_days(budget, exhaustion(left, daily), now),
    }


def _last_days(scope: Scope, budget: Budget, now: float) -> list[int]:
    """Use of each whole day, none left out, from the first one with any."""
    today = int(now // DAY_S)
    since, until = (today - _BURN_DAYS) * DAY_S, (today - 1) * DAY_S
    used = budget.used_by_day(scope.connection, scope.tenant, since, until)
    return [used.get(day, 0) for day in range(min(used, default=today), today)]


def _days(budget: Budget, left: Exhaustion, now: float) -> dict[str, str | None]:
    names = {"exhausted_on": left.days, "earliest": left.earliest, "latest": left.latest}
    return {name: None if days is None else _day(budget, days, now) for name, days in names.items()}


def _day(budget: Budget, days: float, now: float) -> str | None:
    """None for a day so far away that nobody plans for it, or in another month than a monthly budget's."""
    if days > _FARTHEST_DAYS:
        return None
    today, day = int(now // DAY_S), int(now / DAY_S + days)
    another = budget.period == BudgetPeriod.monthly and month_of(day) != month_of(today)
    return None if another else day_of(day)
