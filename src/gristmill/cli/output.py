"""What a command prints: a view for people, or with --json one document and nothing else on stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Row = Mapping[str, Any]
Field = str | Callable[[Any], Any]  # a key of the row, or what makes the cell from it
Fields = Mapping[str, Field]  # by heading
Columns = Sequence[tuple[str, Field]]  # the same where headings may be alike

_GAP = 2  # spaces between columns
WHOLE = 20  # characters: a cell up to here is not broken over lines
console = Console(markup=False, highlight=False)  # a label such as [a] is no markup
progress_console = Console(
    stderr=True, markup=False, highlight=False
)  # progress never mixes with what a command prints


def show(document: Any, as_json: bool, view: Callable[[Any], RenderableType]) -> None:
    """Print `document` as JSON, or its `view` for people."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2).decode() + "\n")
        sys.stdout.flush()
    else:
        console.print(view(document), crop=False)  # a line too long for the terminal goes on below: no amount is cut


def table(rows: Iterable[Row], fields: Fields | Columns, *, empty: str = "Nothing yet.") -> RenderableType:
    """One line a row; `fields` maps a heading to the row's key, or to a function of the row."""
    columns = _columns(fields)
    cells = [[_cell(row, field) for _, field in columns] for row in rows]
    if not cells:
        return empty
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for number, (heading, _) in enumerate(columns):
        longest = max(_longest_word(heading), *(_width(line[number]) for line in cells))
        # names and amounts stay in one piece, headings and text fold
        made.add_column(heading, overflow="fold", min_width=longest if longest <= WHOLE else None)
    for line in cells:
        made.add_row(*line)
    return made


def fits(rows: Sequence[Row], fields: Fields | Columns) -> bool:
    """Whether the table's cells fit side by side without a break; headings may fold at spaces."""
    widths = [
        max(_longest_word(heading), *(_width(_cell(row, field)) for row in rows)) for heading, field in _columns(fields)
    ]
    return sum(widths) + _GAP * (len(widths) - 1) <= console.width


def _columns(fields: Fields | Columns) -> Columns:
    return list(fields.items()) if isinstance(fields, Mapping) else fields


def _longest_word(heading: str) -> int:
    return max(map(len, heading.split()), default=0)


def facts(pairs: Mapping[str, Any]) -> RenderableType:
    """A name and a value a line; values of None are left out."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        if value is not None:
            made.add_row(name, value if _renderable(value) else text(value))
    return made


def title(words: str) -> Text:
    """A heading above a table."""
    return Text(words, style="bold")


def text(value: Any) -> str:
    """A cell's text: absent is a dash, floats get 4 significant figures."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value))
    return str(value)


def _cell(row: Row, field: Field) -> RenderableType:
    value: Any = row.get(field) if isinstance(field, str) else field(row)
    return value if _renderable(value) else text(value)


def _renderable(value: Any) -> bool:
    return hasattr(value, "__rich_console__") or hasattr(value, "__rich__")


def _width(cell: RenderableType) -> int:
    return len(cell) if isinstance(cell, str) else 1
