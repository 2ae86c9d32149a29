"""`gristmill books`: what went in, what came out, what it cost and earned."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gristmill.cli import books_budgets, books_costing, books_inputs, books_machines
from gristmill.cli.arguments import checked, in_order, moment_parser, month_parser, stated, written
from gristmill.cli.books_views import check_view, entries_view, invoice_view, rates_view, report_view
from gristmill.cli.connection import connect
from gristmill.cli.failure import Failed
from gristmill.cli.output import AsJson, show
from gristmill.core.prices import parse_grams, parse_price, parse_proposal
from gristmill.core.reports import Breakdown, ReportName, check_narrowed
from gristmill.core.units import check_item

app = typer.Typer(help="The books: what went in, what came out, what it cost and earned.", add_completion=False)
for command in (
    books_inputs.hours, books_inputs.services, books_inputs.data, books_machines.compute, books_machines.hardware,
    books_costing.allocate, books_costing.write_down,
    books_costing.inherit, books_costing.capitalise, books_costing.rerate, books_budgets.set_budget,
    books_budgets.budgets, books_budgets.remove_budget,
):  # fmt: skip
    app.command()(command)


class ExportTable(StrEnum):
    postings = "postings"
    usage = "usage"
    events = "events"


class Card(StrEnum):
    cost = "cost"
    price = "price"
    emissions = "emissions"  # whose prices are grams
    exchange = "exchange"


class ReportFormat(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


class ExportFormat(StrEnum):
    csv = "csv"
    parquet = "parquet"
    focus = "focus"
    duckdb = "duckdb"


Model = Annotated[str | None, typer.Option("--model", help="Only this model.")]
Endpoint = Annotated[str | None, typer.Option("--endpoint", help="Only this endpoint.")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Of this tenant's books (an admin's key).")]
Since = Annotated[
    str | None,
    typer.Option(
        "--from", "--since", metavar="DAY", help="From this month or day on: 2026-11, 2026-11-23.", parser=moment_parser
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--to", "--until", metavar="DAY", help="To the end of this month or day.", parser=moment_parser),
]


@app.command("show")
def show_(as_json: AsJson = False) -> None:
    """Show the balance of every kind of account."""
    with connect() as client:
        document = client.books.report("summary")
    show(document, as_json, report_view)


@app.command()
def entries(
    account: Annotated[str | None, typer.Option(help="Only this account, as in version:digits@1.")] = None,
    event: Annotated[str | None, typer.Option(help="Only this event.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the entries."""
    with connect() as client:
        found = client.books.entries(account=account, event=event, limit=limit)
    show(found, as_json, entries_view)


@app.command()
def report(
    name: Annotated[ReportName, typer.Argument(help="Which report.")] = ReportName.summary,
    model: Model = None,
    endpoint: Endpoint = None,
    team: Annotated[str | None, typer.Option(help="Only this team's hours (report people).")] = None,
    since: Since = None,
    until: Until = None,
    tenant: Tenant = None,
    by: Annotated[Breakdown | None, typer.Option(help="Break it down: margin by any, what flows by month.")] = None,
    propose: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RATE",
            help="A rate to try (report rate-change): compute.cpu=0.03USD/core_hour.",
            parser=checked(parse_proposal),
        ),
    ] = None,
    form: Annotated[ReportFormat, typer.Option("--format", help="As what.")] = ReportFormat.table,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Also draw it into this .svg or .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a report: cost, unit cost, margin, break-even, return on R&D, idle, energy and more."""
    filters = {"model": model, "endpoint": endpoint, "team": team, "since": since, "until": until, "tenant": tenant,
               "by": by, "propose": propose or None}  # fmt: skip
    if form == ReportFormat.parquet and output is None:
        raise typer.BadParameter("Parquet is not for a terminal: name a file with --output.")
    form_of_picture = None if picture is None else _picture_format(picture)
    in_order(since, until)
    with stated():
        check_narrowed(name, by, filters)
    with connect() as client:
        if picture is not None:
            picture.write_bytes(client.books.report_as(name, str(form_of_picture), **filters))
        if form in (ReportFormat.csv, ReportFormat.parquet) and not as_json:
            _put(client.books.report_as(name, form, **filters), output)
            return
        document = client.books.report(name, **filters)
    if output is not None:
        _put(msgspec.json.format(msgspec.json.encode(document), indent=2), output)
    else:
        show(document, as_json or form == ReportFormat.json, report_view)


@app.command()
def invoice(
    month: Annotated[str, typer.Option(metavar="MONTH", help="Of which month, as in 2026-11.", parser=month_parser)],
    tenant: Tenant = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this .html or .pdf.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a tenant's keys owe for a month, or write it as a page."""
    form = output.suffix.removeprefix(".").lower() if output is not None else ""
    if output is not None and form not in ("html", "pdf"):
        raise typer.BadParameter(f"An invoice is an .html or a .pdf, and {output.name} is neither.")
    with connect() as client:
        document = client.books.invoice(month, tenant)
        if output is not None:
            output.write_bytes(client.books.invoice_as(month, form, tenant))
    show(document, as_json, invoice_view)


@app.command()
def rates(
    item: Annotated[str | None, typer.Option(help="Set this item's price, as in compute.cpu.")] = None,
    price: Annotated[str | None, typer.Option(help="The price of one unit, as in 0.05USD.")] = None,
    unit: Annotated[str | None, typer.Option(help="The unit, as in core_hour.")] = None,
    card: Annotated[Card, typer.Option(help="The rate card: cost, price, emissions, exchange.")] = Card.cost,
    valid_from: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="Valid from then on; from now on otherwise.", parser=moment_parser),
    ] = None,
    valid_to: Annotated[
        str | None,
        typer.Option("--to", metavar="DAY", help="Valid until then; without end otherwise.", parser=moment_parser),
    ] = None,
    note: Annotated[str, typer.Option(help="Where the price comes from.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the rates, or set one with --item, --price and --unit; old rates keep their time."""
    if (item is None, price is None, unit is None) not in ((True,) * 3, (False,) * 3):
        raise typer.BadParameter("--item, --price and --unit belong together.")
    in_order(valid_from, valid_to)
    if item is not None and unit is not None and price is not None:
        with stated():
            check_item(card, item, unit)
            (parse_grams if card == Card.emissions else parse_price)(price)
    with connect() as client:
        document: Any = (
            client.books.set_rate(card=str(card), item=item, unit=unit, price=price, note=note, valid_from=valid_from,
                                  valid_to=valid_to) if item else client.books.rates()
        )  # fmt: skip
    show(document, as_json, rates_view)


@app.command()
def reverse(
    event: Annotated[str, typer.Argument(help="The event's id.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.", parser=written)],
    as_json: AsJson = False,
) -> None:
    """Reverse a mistake: nothing in the books is ever changed."""
    with connect() as client:
        document = client.books.reverse(event, reason)
    show(document, as_json, lambda _: f"{event} is reversed.")


@app.command()
def check(as_json: AsJson = False) -> None:
    """Prove that the books balance and that every usage record is posted once; exits 1 otherwise."""
    with connect() as client:
        document = client.books.check()
    show(document, as_json, check_view)
    problems = document.get("problems") or []
    if problems:
        raise Failed(f"The books do not hold in {len(problems)} places: the first is {problems[0]}")


@app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    table_name: Annotated[
        ExportTable, typer.Option("--table", help="What to export (CSV, Parquet).")
    ] = ExportTable.postings,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="As what; FOCUS is CSV, or Parquet for a .parquet file.")
    ] = ExportFormat.csv,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Export entries, usage records or events; all charges as FOCUS 1.2; all tables and views as DuckDB."""
    asked = "focus-parquet" if form == ExportFormat.focus and output.suffix == ".parquet" else str(form)
    with connect() as client:
        client.books.export(str(table_name), output, format=asked, tenant=tenant)
    size = output.stat().st_size
    document = {"table": str(table_name), "format": asked, "path": str(output), "bytes": size}
    show(document, as_json, lambda done: f"{done['bytes']} bytes in {done['path']}.")


def _picture_format(path: Path) -> str:
    form = path.suffix.removeprefix(".").lower()
    if form not in ("svg", "png"):
        raise typer.BadParameter(f"A picture is an .svg or a .png, and {path.name} is neither.")
    return form


def _put(data: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    else:
        output.write_bytes(data)
