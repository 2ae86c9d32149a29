"""`gristmill books`: what went in, what came out, what it cost and earned."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from gristmill.cli.connection import connect
from gristmill.cli.failure import Failed
from gristmill.cli.formats import moment, money
from gristmill.cli.output import AsJson, Fields, facts, fits, show, table, text, title

app = typer.Typer(no_args_is_help=True, help="The books: what went in, what came out, what it cost and earned.")


_ZERO_WIDTH = "\u200b"


class Report(StrEnum):
    summary = "summary"
    cost = "cost"
    unit_cost = "unit-cost"
    margin = "margin"
    break_even = "break-even"
    idle = "idle"
    experiments = "experiments"
    energy = "energy"
    unpriced = "unpriced"


class ExportTable(StrEnum):
    postings = "postings"
    usage = "usage"
    events = "events"


class ExportFormat(StrEnum):
    csv = "csv"
    parquet = "parquet"


Model = Annotated[str | None, typer.Option("--model", help="Only this model.")]
Endpoint = Annotated[str | None, typer.Option("--endpoint", help="Only this endpoint.")]


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
    name: Annotated[Report, typer.Argument(help="Which report.")] = Report.summary,
    model: Model = None,
    endpoint: Endpoint = None,
    as_json: AsJson = False,
) -> None:
    """Print a report: cost by version and input, cost a request, margin, break-even, idle."""
    with connect() as client:
        document = client.books.report(str(name), model=model, endpoint=endpoint)
    show(document, as_json, report_view)


@app.command()
def rates(
    item: Annotated[str | None, typer.Option(help="Set this item's price, as in compute.cpu.")] = None,
    price: Annotated[str | None, typer.Option(help="The price of one unit, as in 0.05USD.")] = None,
    unit: Annotated[str | None, typer.Option(help="The unit, as in core_hour.")] = None,
    card: Annotated[str, typer.Option(help="The rate card: cost, or price.")] = "cost",
    note: Annotated[str, typer.Option(help="Where the price comes from.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the rates, or set one with --item, --price and --unit; old rates keep their time."""
    if (item is None, price is None, unit is None) not in ((True,) * 3, (False,) * 3):
        raise typer.BadParameter("--item, --price and --unit belong together.")
    with connect() as client:
        found = client.books.set_rate(card=card, item=item, unit=unit, price=price, note=note) if item else None
        document = found or client.books.rates()
    show(document, as_json, rates_view)


@app.command()
def hours(
    who: Annotated[str, typer.Argument(help="Who worked, as in 'data scientist'.")],
    count: Annotated[float, typer.Argument(min=0.0, metavar="HOURS", help="How many hours.")],
    on: Annotated[str, typer.Argument(help="On what: run:ID, version:NAME@N, model:NAME or dataset:NAME@N.")],
    as_json: AsJson = False,
) -> None:
    """Declare people's hours: they are an input like any other."""
    with connect() as client:
        document = client.books.declare_hours(who, count, on)
    show(document, as_json, lambda _: f"{count:g} hours of {who} on {on} are in the books.")


@app.command()
def reverse(
    event: Annotated[str, typer.Argument(help="The event's id.")],
    reason: Annotated[str, typer.Option(help="Why.")],
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
    show(document, as_json, _check_view)
    problems = document.get("problems") or []
    if problems:
        raise Failed(f"The books do not hold in {len(problems)} places: the first is {problems[0]}")


@app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    table_name: Annotated[ExportTable, typer.Option("--table", help="What to export.")] = ExportTable.postings,
    form: Annotated[ExportFormat, typer.Option("--format", help="As what.")] = ExportFormat.csv,
    as_json: AsJson = False,
) -> None:
    """Export entries, usage records or events."""
    with connect() as client:
        data = client.books.export(str(table_name), format=str(form))
    output.write_bytes(data)
    document = {"table": str(table_name), "format": str(form), "path": str(output), "bytes": len(data)}
    show(document, as_json, lambda done: f"{done['bytes']} bytes in {done['path']}.")


def _check_view(check: dict[str, Any]) -> RenderableType:
    plain = {key.replace("_", " "): text(value) for key, value in check.items() if key != "problems"}
    problems = check.get("problems") or []
    return Group(facts(plain), "The books balance." if not problems else "\n".join(map(text, problems)))


def entries_view(postings: list[dict[str, Any]]) -> RenderableType:
    """Each event with its postings below it: what came from where and went where."""
    if not postings:
        return "No entry yet."
    parts: list[RenderableType] = []
    for (event, at), lines in groupby(postings, key=lambda row: (row["event"], row["happened_at"])):
        grid = Table.grid(Column(min_width=28), Column(min_width=15, justify="right"), Column(), padding=(0, 1))
        for line in lines:
            grid.add_row(f"  {line['account']}", _amount(line), _quantity(line))
        parts += [title(f"{moment(at)}  {event}"), grid]
    return Group(*parts)


def rates_view(rates: list[dict[str, Any]] | dict[str, Any]) -> RenderableType:
    """The rates, and below them where their prices come from."""
    rows = rates if isinstance(rates, list) else [rates]
    fields: Fields = {
        "ITEM": "item",
        "CARD": "card",
        "PRICE": lambda row: f"{row['price']} {row['currency']}",
        "UNIT": "unit",
        "BASIS": "basis",
        "FROM": lambda row: moment(row["valid_from"])[:10] if row["valid_from"] else "always",
    }
    notes = dict.fromkeys(row["note"] for row in rows if row.get("note"))
    return Group(table(rows, fields), "", *(Text(note, style="dim") for note in notes))


def _amount(posting: dict[str, Any]) -> str:
    return money(None if posting.get("unpriced") else posting["micro"], posting["currency"])


def _quantity(posting: dict[str, Any]) -> str:
    if posting.get("quantity") is None:
        return ""
    return f"{text(posting['quantity'])} {posting.get('unit') or ''} ({posting['basis']})"


def report_view(report: dict[str, Any]) -> RenderableType:
    """A report's rows, and below them what its figures mean."""
    return Group(rows_view(report["rows"]), "", Text(report.get("notes", ""), style="dim"))


def rows_view(rows: list[dict[str, Any]]) -> RenderableType:
    """One line a row; what is too wide for the terminal lies on its side, one column a row, or one block a row."""
    keys = list(dict.fromkeys(key for row in rows for key in row if key != "currency"))  # every amount says its own
    fields: Fields = {_heading(key).upper(): partial(_cell, key) for key in keys}
    if not rows or fits(rows, fields):
        return table(rows, fields, empty="Nothing to report yet.")
    head, *rest = keys
    names = {f"{row[head]}{_ZERO_WIDTH * number}": row for number, row in enumerate(rows)}  # headings must differ
    turned = [{"": _heading(key)} | {name: _cell(key, row) for name, row in names.items()} for key in rest]
    sideways: Fields = {"": "", **{name: name for name in names}}
    if fits(turned, sideways):
        return table(turned, sideways)
    return Group(*(facts({_heading(key): _cell(key, row) for key in keys} | {"": ""}) for row in rows))


def _cell(key: str, row: dict[str, Any]) -> str:
    return _figure(key, row.get(key), row.get("currency"))


def _heading(key: str) -> str:
    return key.removesuffix("_micro").replace("_", " ")


def _figure(key: str, value: Any, currency: str | None) -> str:
    if key.endswith("_micro") and (value is None or isinstance(value, int)):
        return money(value, currency)
    if isinstance(value, dict):
        return ", ".join(
            f"{_heading(name)} {_figure(f'{name}_micro' if key.endswith('_micro') else name, item, currency)}"
            for name, item in value.items()
        )
    return text(value)
