"""People's hours and what they cost, by team and by what they were spent on."""

from __future__ import annotations

from typing import Any

from gristmill.books.reports.records import declared_hours
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found

_NOTES = ("A team is who the hours were declared for; hours are assumed: they were declared, not measured.",)
Key = tuple[str, str, str]


def report(scope: Scope) -> dict[str, Any]:
    hours: dict[Key, float] = {}
    money: dict[Key, int] = {}
    unpriced: set[Key] = set()
    made = {row["run"]: row["model"] for row in scope.sums(("run", "model"), "units:expected:", ever=True)}
    for row in declared_hours(scope.connection, scope.tenant, scope.since, scope.until):
        if scope.team not in (None, row["who"]) or scope.model not in (None, _model(row["on"], made)):
            continue
        key = (row["who"], row["on"], row["currency"])
        hours[key] = hours.get(key, 0.0) - row["quantity"]  # the inputs' side of an entry is its credit
        money[key] = money.get(key, 0) - row["micro"]
        if row["unpriced"]:
            unpriced.add(key)
    rows = [
        {"team": key[0], "on": key[1], "currency": key[2], "hours": round(hours[key], 6),
         "cost_micro": None if key in unpriced else money[key]}
        for key in sorted(hours)
        if hours[key] or money[key]
    ]  # fmt: skip
    return found("people", rows, _NOTES if rows else ())


def _model(on: str, made: dict[str, str]) -> str | None:
    """Of what hours were spent on; of a run that of the version it made, None where that is not known."""
    kind, _, name = on.partition(":")
    if kind == "run":
        return made.get(name)
    return name.partition("@")[0] if kind in ("model", "version") else None
