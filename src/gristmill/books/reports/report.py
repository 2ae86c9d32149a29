"""Reports by name: a new one is one file and one line."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from gristmill.books.records import Connection
from gristmill.books.reports import (
    break_even,
    cost,
    energy,
    experiments,
    idle,
    margin,
    summary,
    unit_cost,
    unpriced,
)
from gristmill.books.reports.scope import Scope
from gristmill.core.errors import NotFound

REPORTS: dict[str, Callable[[Scope], dict[str, Any]]] = {
    "summary": summary.report,
    "cost": cost.report,
    "unit-cost": unit_cost.report,
    "margin": margin.report,
    "break-even": break_even.report,
    "idle": idle.report,
    "experiments": experiments.report,
    "energy": energy.report,
    "unpriced": unpriced.report,
}


def report(
    connection: Connection,
    tenant: str,
    name: str,
    *,
    model: str | None = None,
    endpoint: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> dict[str, Any]:
    """{report, rows, notes}: rows are flat; `*_micro` are whole micro-units of the row's `currency`.

    Raises NotFound for a report that there is not.
    """
    if name not in REPORTS:
        near = difflib.get_close_matches(name, REPORTS, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise NotFound(f"There is no report {name!r}: there are {', '.join(REPORTS)}.{hint}", got=name)
    return REPORTS[name](Scope(connection, tenant, model, endpoint, since, until))
