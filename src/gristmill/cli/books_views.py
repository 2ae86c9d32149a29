"""How the books read in a terminal: entries, rates, reports, the check."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from gristmill.cli.formats import money, utc
from gristmill.cli.output import Columns, Fields, facts, fits, table, text, title

_MEMORANDUM = "XXX"  # no currency: the line holds a quantity alone


def check_view(check: dict[str, Any]) -> RenderableType:
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
        parts += [title(f"{utc(at)}  {event}"), grid]
    return Group(*parts)


def invoice_view(invoice: dict[str, Any]) -> RenderableType:
    """Its lines, what is payable, and its notes."""
    fields: Fields = {
        "ENDPOINT": "endpoint",
        "VERSION": "version",
        "ITEM": "item",
        "QUANTITY": lambda row: _plain(row["quantity"]),
        "PRICE": "price",
        "AMOUNT": lambda row: money(None if row["price"] is None else row["amount_micro"], row["currency"]),
    }
    payable = ", ".join(f"{total['payable']} {total['currency']}" for total in invoice["totals"]) or "nothing"
    lines = table(invoice["lines"], fields, empty="Nothing was used in this month.")
    return Group(title(f"Invoice {invoice['number']}"), lines, "", f"Payable: {payable}",
                 Text(invoice["notes"], style="dim"))  # fmt: skip


def rates_view(rates: list[dict[str, Any]] | dict[str, Any]) -> RenderableType:
    """The rates, and below them where their prices come from."""
    rows = rates if isinstance(rates, list) else [rates]
    fields: Fields = {
        "ITEM": "item",
        "CARD": "card",
        "PRICE": lambda row: f"{row['price']} {row['currency']}",
        "UNIT": "unit",
        "BASIS": "basis",
        "FROM": lambda row: utc(row["valid_from"]) if row["valid_from"] else "always",
    }
    if any(row["valid_to"] for row in rows):
        fields = {**fields, "TO": lambda row: utc(row["valid_to"]) if row["valid_to"] else "–"}
    if any(row["known_from"] for row in rows):
        fields = {**fields, "KNOWN": lambda row: utc(row["known_from"])[:10] if row["known_from"] else "always"}
    notes = dict.fromkeys(row["note"] for row in rows if row.get("note"))
    return Group(table(rows, fields), "", *(Text(note, style="dim") for note in notes))


def _amount(posting: dict[str, Any]) -> str:
    if posting["currency"] == _MEMORANDUM:
        return ""
    return money(None if posting.get("unpriced") else posting["micro"], posting["currency"])


def _quantity(posting: dict[str, Any]) -> str:
    if posting.get("quantity") is None:
        return ""
    return f"{_plain(posting['quantity'])} {posting.get('unit') or ''} ({posting['basis']})"


def report_view(report: dict[str, Any]) -> RenderableType:
    """A report's rows, and below them what came out, where it tells that, and what its figures mean."""
    parts: list[RenderableType] = [rows_view(report["rows"]), ""]
    outputs: dict[str, int] = {name: report[name] for name in ("versions", "requests", "predictions") if name in report}
    outputs |= {f"{kind} tokens": number for kind, number in report.get("tokens", {}).items()}
    if outputs:
        parts += [facts({name: f"{number:,}" for name, number in outputs.items()}), ""]
    return Group(*parts, Text(report.get("notes", ""), style="dim"))


def rows_view(rows: list[dict[str, Any]]) -> RenderableType:
    """One line a row; what is too wide for the terminal lies on its side, one column a row, or one block a row."""
    keys = list(dict.fromkeys(key for row in rows for key in row if key != "currency"))  # every amount says its own
    fields: Fields = {_heading(key).upper(): partial(_cell, key) for key in keys}
    if not rows or fits(rows, fields):
        return table(rows, fields, empty="Nothing to report yet.")
    head, *rest = keys
    turned = [{"": _heading(key)} | {str(n): _cell(key, row) for n, row in enumerate(rows)} for key in rest]
    sideways: Columns = [("", ""), *((str(row[head]), str(n)) for n, row in enumerate(rows))]
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
    if isinstance(value, str) and "_per_" in key:
        return f"{value} {currency or ''}".rstrip()
    return _plain(value)


def _plain(value: Any) -> str:
    """No power of ten where people count in thousands."""
    if isinstance(value, float) and 1000 <= abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else text(value)
