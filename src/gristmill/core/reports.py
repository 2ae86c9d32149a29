"""The reports that the books make, and the forms they come in: one list for the CLI, the API, the SDK and the books."""

from __future__ import annotations

from enum import StrEnum


class ReportName(StrEnum):
    summary = "summary"
    cost = "cost"
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
