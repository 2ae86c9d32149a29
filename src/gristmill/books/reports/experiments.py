"""Runs that made nothing, and what they cost."""

from __future__ import annotations

from typing import Any

from gristmill.books.accounts import EXPERIMENTS
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found


def report(scope: Scope) -> dict[str, Any]:
    rows = [
        {"run": row["run"], "model": row["model"] or None, "currency": row["currency"], "cost_micro": row["micro"]}
        for row in scope.money(("run", "model"), EXPERIMENTS)
        if row["micro"]
    ]
    return found("experiments", sorted(rows, key=lambda row: -row["cost_micro"]))
