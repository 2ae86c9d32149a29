"""Reports by name: a new one is one file and one line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Unpack

from gristmill.books import records
from gristmill.books.records import Connection
from gristmill.books.reports import (
    break_even,
    budget,
    cost,
    datasets,
    energy,
    experiments,
    idle,
    inputs,
    margin,
    people,
    quality_cost,
    rate_change,
    return_on_rd,
    summary,
    unit_cost,
    unpriced,
)
from gristmill.books.reports.records import first_and_last_day
from gristmill.books.reports.scope import Filters, Scope
from gristmill.core.errors import NotFound, Unprocessable
from gristmill.core.periods import DAY_S, begin, end, months
from gristmill.core.reports import Breakdown, ReportName, check_narrowed

Document = dict[str, Any]

REPORTS: dict[ReportName, Callable[[Scope], Document]] = {
    ReportName.summary: summary.report,
    ReportName.cost: cost.report,
    ReportName.inputs: inputs.report,
    ReportName.datasets: datasets.report,
    ReportName.unit_cost: unit_cost.report,
    ReportName.margin: margin.report,
    ReportName.break_even: break_even.report,
    ReportName.return_on_rd: return_on_rd.report,
    ReportName.quality_cost: quality_cost.report,
    ReportName.experiments: experiments.report,
    ReportName.idle: idle.report,
    ReportName.energy: energy.report,
    ReportName.people: people.report,
    ReportName.budget: budget.report,
    ReportName.unpriced: unpriced.report,
    ReportName.rate_change: rate_change.report,
}


def report(connection: Connection, tenant: str, name: str, **filters: Unpack[Filters]) -> Document:
    """{report, rows, notes}: rows are flat; `*_micro` are whole micro-units of the row's `currency`.

    Raises NotFound for a report, a model or an endpoint that there is not, Unprocessable for a filter that the report
    does not know.
    """
    checked = _checked(name, filters)
    _check_known(connection, [tenant], filters)
    return _made(Scope(connection, tenant, **filters), checked)


def report_of_all(connection: Connection, name: str, **filters: Unpack[Filters]) -> Document:
    """The same of every tenant that has books, one after the other, with a column `tenant`."""
    checked, tenants = _checked(name, filters), records.tenants_with_entries(connection)
    _check_known(connection, tenants, filters)
    parts = ((tenant, _made(Scope(connection, tenant, **filters), checked)) for tenant in tenants)
    return _joined(name, "tenant", parts)


def _made(scope: Scope, name: ReportName) -> Document:
    if scope.by == Breakdown.month:
        return _joined(name, "month", ((month, REPORTS[name](part)) for month, part in _by_month(scope)))
    return REPORTS[name](scope)


def _checked(name: str, filters: Filters) -> ReportName:
    if name not in REPORTS:
        near = difflib.get_close_matches(name, REPORTS, 1)
        hint = f" Did you mean {str(near[0])!r}?" if near else ""
        raise NotFound(f"There is no report {name!r}: there are {', '.join(REPORTS)}.{hint}", got=name)
    found = ReportName(name)
    since, until = filters.get("since"), filters.get("until")
    if since is not None and until is not None and until < since:
        raise Unprocessable("The report would end before it begins: give a later day for --to.", field="until")
    check_narrowed(found, filters.get("by"), {**filters, "propose": filters.get("proposed")})
    return found


def _check_known(connection: Connection, tenants: Sequence[str], filters: Filters) -> None:
    """Raises NotFound for a model or an endpoint that none of the tenants has: an empty report would seem an answer."""
    for kind, name in (("model", filters.get("model")), ("endpoint", filters.get("endpoint"))):
        if name and not any(records.named(connection, tenant, kind, name) for tenant in tenants):
            raise NotFound(f"There is no {kind} {name!r}: `gristmill {kind}s list` shows what there is.", got=name)


def _by_month(scope: Scope) -> Iterator[tuple[str, Scope]]:
    """The scope of each month, cut to the days asked for."""
    days = first_and_last_day(scope.connection, scope.tenant)
    if days is None:
        return
    first = days[0] if scope.since is None else max(days[0], int(scope.since // DAY_S))
    last = days[1] if scope.until is None else min(days[1], int(scope.until // DAY_S))
    for month in months(first, last):
        since, until = max(begin(month), first * DAY_S), min(end(month), last * DAY_S)
        yield month, scope._replace(since=since, until=until)


def _joined(name: str, column: str, parts: Iterator[tuple[str, Document]]) -> Document:
    """The rows of all parts, each with its part's name first; what the first one notes."""
    rows: list[Document] = []
    notes = ""
    for value, part in parts:
        rows += [{column: value, **row} for row in part["rows"]]
        notes = notes or part.get("notes", "")
    return {"report": name, "rows": rows} | ({"notes": notes} if notes else {})
