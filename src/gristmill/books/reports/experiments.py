"""Experiments that never shipped, and what they cost: runs that made nothing, and versions that served nobody."""

from __future__ import annotations

from typing import Any

from gristmill.books.accounts import EXPERIMENTS
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found

_NOTES = (
    "A version that served nobody so far may still ship: what it cost is its asset, or was written off.",
    "The days asked for are those in which the cost arose.",
)


def report(scope: Scope) -> dict[str, Any]:
    rows = [
        _row("run", row["run"], row["model"], row["currency"], row["micro"], "made no version")
        for row in scope.money(("run", "model"), EXPERIMENTS)
    ]
    served = {row["version"] for row in scope.sums(("version",), "units:served:", ever=True) if row["quantity"]}
    retired = {row["version"] for row in scope.sums(("version",), "written-off:", ever=True) if row["quantity"]}
    for row in scope.money(("version", "model"), "assets:version:"):
        if row["version"] not in served:
            state = "retired unserved" if row["version"] in retired else "served nobody so far"
            rows.append(_row("version", row["version"], row["model"], row["currency"], row["micro"], state))
    rows = [row for row in rows if row["cost_micro"]]
    return found("experiments", sorted(rows, key=lambda row: -row["cost_micro"]), _NOTES if rows else ())


def _row(kind: str, name: str, model: str, currency: str, micro: int, state: str) -> dict[str, Any]:
    return {"kind": kind, "name": name or None, "model": model or None, "state": state, "currency": currency,
            "cost_micro": micro}  # fmt: skip
