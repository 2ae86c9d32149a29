"""What goes out of the books: reports as documents, tables and pictures; invoices; exports."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from gristmill.books.export import export as export_table
from gristmill.books.invoice import invoice as make_invoice
from gristmill.books.invoice_pages import as_html, as_pdf
from gristmill.books.reports import pictures, tables
from gristmill.books.reports.rate_change import proposal
from gristmill.books.reports.report import report as make_report
from gristmill.books.reports.report import report_of_all
from gristmill.books.reports.scope import Filters, Quality
from gristmill.control import records
from gristmill.control.access import Caller
from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.control.qualities import qualities
from gristmill.core.errors import Forbidden, NotFound
from gristmill.core.periods import begin, end
from gristmill.core.reports import Breakdown, ExportForm, InvoiceForm, ReportForm, ReportName
from gristmill.core.types import Role

router = APIRouter(prefix="/books")
_PARQUET = "application/vnd.apache.parquet"
_MEDIA = {
    ReportForm.csv: "text/csv",
    ReportForm.parquet: _PARQUET,
    ReportForm.svg: "image/svg+xml",
    ReportForm.png: "image/png",
}
_RENDERED: dict[ReportForm, Callable[[dict[str, Any]], bytes]] = {
    ReportForm.csv: tables.as_csv,
    ReportForm.parquet: tables.as_parquet,
    ReportForm.svg: lambda document: pictures.draw(document, "svg"),
    ReportForm.png: lambda document: pictures.draw(document, "png"),
}
_PAGES: dict[InvoiceForm, tuple[Callable[[dict[str, Any]], bytes], str]] = {
    InvoiceForm.html: (as_html, "text/html; charset=utf-8"),
    InvoiceForm.pdf: (as_pdf, "application/pdf"),
}
Form = Annotated[ReportForm, Query(alias="format")]
Proposals = Annotated[list[str] | None, Query()]


@router.get("/report/{name}")
def report(
    name: str,
    here: Here,
    by: Developer,
    model: str | None = None,
    endpoint: str | None = None,
    team: str | None = None,
    since: str | None = None,
    until: str | None = None,
    tenant: str | None = None,
    breakdown: Annotated[Breakdown | None, Query(alias="by")] = None,
    propose: Proposals = None,
    form: Form = ReportForm.json,
) -> Response:
    """A report by name. `since`, `until`: a month, a day or a moment; `by=tenant`: all tenants, for an admin."""
    filters = Filters(
        model=model, endpoint=endpoint, team=team, by=breakdown, proposed=[proposal(text) for text in propose or ()],
        since=None if since is None else begin(since), until=None if until is None else end(until),
    )  # fmt: skip
    with here.database.read() as connection:
        whose = _whose(connection, by, tenant, breakdown)
        if name == ReportName.quality_cost:
            filters["qualities"] = _qualities(connection, whose)
        if whose is None:
            document = report_of_all(connection, name, **filters)
        else:
            document = make_report(connection, whose, name, **filters)
    if form == ReportForm.json:
        return Json(document)
    return Response(_RENDERED[form](document), media_type=_MEDIA[form])


@router.get("/invoice")
def invoice(
    here: Here, by: Developer, month: str, tenant: str | None = None,
    form: Annotated[InvoiceForm, Query(alias="format")] = InvoiceForm.json,
) -> Response:  # fmt: skip
    """What a tenant's keys owe for a month (2026-11), as JSON, HTML or PDF."""
    with here.database.read() as connection:
        document = make_invoice(connection, permitted(connection, by, tenant), month)
    if form == InvoiceForm.json:
        return Json(document)
    page, media = _PAGES[form]
    return Response(page(document), media_type=media)


@router.get("/export")
def export(
    here: Here, by: Developer, table: str = "postings", tenant: str | None = None,
    form: Annotated[ExportForm, Query(alias="format")] = ExportForm.csv,
) -> FileResponse:  # fmt: skip
    """A table as CSV or Parquet, or the books as FOCUS 1.2 or as a DuckDB file."""
    work = tempfile.TemporaryDirectory(dir=here.settings.home_path)  # lives until the last byte is sent
    path = Path(work.name) / "export"
    try:
        with here.database.read() as connection:
            export_table(connection, permitted(connection, by, tenant), table, form, path)
    except BaseException:
        work.cleanup()
        raise
    media = {ExportForm.csv: "text/csv", ExportForm.focus: "text/csv", ExportForm.duckdb: "application/octet-stream"}
    return FileResponse(path, media_type=media.get(form, _PARQUET), background=BackgroundTask(work.cleanup))


def permitted(connection: Connection, by: Caller, tenant: str | None) -> str:
    """Whose books: the caller's own, or those of a tenant that an admin names. Raises Forbidden, NotFound."""
    if tenant is None or tenant == by.tenant:
        return by.tenant
    if by.role != Role.admin:
        raise Forbidden("Only an admin's key reads another tenant's books.")
    if tenant not in _tenants(connection):
        raise NotFound(f"There is no tenant {tenant!r}: `gristmill tenants list` shows who there is.", got=tenant)
    return tenant


def _whose(connection: Connection, by: Caller, tenant: str | None, breakdown: Breakdown | None) -> str | None:
    """The tenant, or None for all: an admin's, who asks by tenant and names none. Raises Forbidden, NotFound."""
    if breakdown != Breakdown.tenant or tenant is not None:
        return permitted(connection, by, tenant)
    if by.role != Role.admin:
        raise Forbidden("Only an admin's key reads the books of all tenants.")
    return None


def _qualities(connection: Connection, whose: str | None) -> list[Quality]:
    return qualities(connection, _tenants(connection) if whose is None else [whose])


def _tenants(connection: Connection) -> list[str]:
    return [row["tenant"] for row in records.tenant_rows(connection)]
