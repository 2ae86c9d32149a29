"""The reports that the books make, and the forms they come in: one list for the CLI, the API, the SDK and the books."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from gristmill.core.errors import Unprocessable


class ReportName(StrEnum):
    summary = "summary"
    cost = "cost"
    inputs = "inputs"
    datasets = "datasets"
    unit_cost = "unit-cost"
    margin = "margin"
    break_even = "break-even"
    return_on_rd = "return-on-rd"
    quality_cost = "quality-cost"
    experiments = "experiments"
    idle = "idle"
    energy = "energy"
    people = "people"
    budget = "budget"
    unpriced = "unpriced"
    rate_change = "rate-change"


class Breakdown(StrEnum):
    """`key`, `version` and `model` break the margin down; `month` what flows; `tenant` every report."""

    key = "key"
    version = "version"
    model = "model"
    month = "month"
    tenant = "tenant"


# what flows has months; what a version was ever given, or a ratio of both, has none
FLOWS = frozenset((ReportName.summary, ReportName.unit_cost, ReportName.margin, ReportName.experiments, ReportName.idle,
                   ReportName.energy, ReportName.people, ReportName.rate_change))  # fmt: skip
_OF_ALL_TIME = {ReportName.cost, ReportName.inputs, ReportName.datasets, ReportName.quality_cost}
# filter → what it is called, and the reports that it does not narrow
_NOT_NARROWED = {
    "model": ("a model", {ReportName.datasets, ReportName.budget}),
    "endpoint": ("an endpoint", {*_OF_ALL_TIME, ReportName.experiments, ReportName.people, ReportName.budget}),
    "since": ("days", {*_OF_ALL_TIME, ReportName.budget}),
    "until": ("days", _OF_ALL_TIME),
    "team": ("a team", set(ReportName) - {ReportName.people}),
    "propose": ("proposed rates", set(ReportName) - {ReportName.rate_change}),
}


def check_narrowed(name: ReportName, by: Breakdown | None, given: Mapping[str, object]) -> None:
    """Raises Unprocessable where a filter or a breakdown would say nothing about the report: it is not passed over."""
    for field, (what, reports) in _NOT_NARROWED.items():
        if given.get(field) and name in reports:
            raise Unprocessable(f"The report {name} is not narrowed by {what}: leave that out.", field=field)
    if by == Breakdown.month and name not in FLOWS:
        raise Unprocessable(f"The report {name} does not go by month: those that do are {', '.join(sorted(FLOWS))}.",
                            field="by")  # fmt: skip
    if by not in (None, Breakdown.month, Breakdown.tenant) and name != ReportName.margin:
        raise Unprocessable(f"Only the report margin goes by {by}: leave it out for {name}.", field="by")


class ReportForm(StrEnum):
    json = "json"
    csv = "csv"
    parquet = "parquet"
    svg = "svg"
    png = "png"


class InvoiceForm(StrEnum):
    json = "json"
    html = "html"
    pdf = "pdf"


class ExportForm(StrEnum):
    csv = "csv"
    parquet = "parquet"
    focus = "focus"
    focus_parquet = "focus-parquet"
    duckdb = "duckdb"
