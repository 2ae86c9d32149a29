"""A table of runs from elsewhere, as people publish it: its separators, comments and ways to write a number."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import NamedTuple

from gristmill.cli.forecast_formulas import Formula, formula, label
from gristmill.core.errors import Unprocessable

_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?) ?([KMGBTkmgbt]?)")
_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?(?: ?[KMGBTkmgbt])?")
_MAYBE_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")  # 2,548: alone it does not tell
_THOUSANDS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
_COMMENT = "#"
_FORMULA = re.compile(r"[=+*/()-]")


class _Row(NamedTuple):
    line: int  # in the file, from 1
    cells: list[str]


def columns(path: Path, wanted: list[str]) -> dict[str, list[float]]:
    """The wanted columns by their names in the header, case and spaces aside, or formulas of them by their labels.

    Between commas, semicolons, tabs or blanks; lines that begin with # and empty lines are passed over. Raises
    Unprocessable naming the line and what it holds.
    """
    try:
        header, *rows = _rows(path)
    except (UnicodeDecodeError, csv.Error):
        raise Unprocessable(f"{path.name} is not a CSV in UTF-8.") from None
    except ValueError:
        raise Unprocessable(f"{path.name} is empty: a header and one run a line are needed.") from None
    if not rows:
        raise Unprocessable(f"{path.name} has no rows below its header.")
    if all(_value(cell) is not None for cell in header.cells):
        raise Unprocessable(f"{path.name} has no header: line {header.line} holds numbers, not the columns' names.")
    return {label(name): _column(path, header.cells, rows, name) for name in wanted}


def _column(path: Path, header: list[str], rows: list[_Row], wanted: str) -> list[float]:
    """A column of the table; where none is called so, what a formula makes of others."""
    if _FORMULA.search(wanted) and not _same(header, wanted):
        made = formula(wanted, header)
        taken = [_column(path, header, rows, name) for name in made.columns]
        return [_made(path, row, made, values) for row, values in zip(rows, zip(*taken, strict=True), strict=True)]
    place = _place(path, header, wanted)
    return [_number(path, row, place, wanted) for row in rows]


def _made(path: Path, row: _Row, made: Formula, values: tuple[float, ...]) -> float:
    try:
        return made.of(values)
    except ZeroDivisionError:
        raise Unprocessable(f"{path.name}, line {row.line}: {made.label!r} divides by 0.") from None


def _rows(path: Path) -> list[_Row]:
    """Commas in numbers are decimal where any of them cannot be one of thousands."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = [(at, line) for at, line in enumerate(file, 1) if line.strip() and not line.startswith(_COMMENT)]
    separator = _separator(lines[0][1].strip()) if lines else ","
    rows = [
        _Row(
            at, [cell.strip() for cell in next(csv.reader([line.strip()], delimiter=separator, skipinitialspace=True))]
        )
        for at, line in lines
    ]
    commas = [cell for row in rows for cell in row.cells if _COMMA.fullmatch(cell)]
    if not all(_MAYBE_THOUSANDS.fullmatch(cell) for cell in commas):
        return [_Row(row.line, [_point(cell) for cell in row.cells]) for row in rows]
    return rows


def _separator(header: str) -> str:
    """Blanks only where there is no other: names may have some."""
    best = max(",;\t", key=header.count)
    return best if best in header or " " not in header else " "


def _point(cell: str) -> str:
    """A decimal comma becomes a point."""
    return cell.replace(",", ".") if _COMMA.fullmatch(cell) else cell


def _place(path: Path, there: list[str], wanted: str) -> int:
    """Raises Unprocessable where no column, or more than one, is called so."""
    same = _same(there, wanted)
    found = [there.index(wanted)] if there.count(wanted) == 1 else same
    if len(found) != 1:
        many = f"has {len(found)} columns" if found else "has no column"
        raise Unprocessable(f"{path.name} {many} {wanted!r}: it has {', '.join(there)}.", got=wanted)
    return found[0]


def _same(there: list[str], wanted: str) -> list[int]:
    return [place for place, name in enumerate(there) if name.strip().lower() == wanted.strip().lower()]


def _number(path: Path, row: _Row, place: int, name: str) -> float:
    text = row.cells[place] if place < len(row.cells) else ""
    value = _value(text)
    if value is None:
        held = f"{text!r} is no number" if text else "nothing stands"
        raise Unprocessable(f"{path.name}, line {row.line}: {held} in {name!r}; correct it or leave the run out.")
    return value


def _value(text: str) -> float | None:
    """A number; also one such as 70M, 1.4B or 3T."""
    parts = _NUMBER.fullmatch(text)
    if parts is None:
        return None
    value = float(parts[1]) * _THOUSANDS[parts[2].upper()]
    return value if math.isfinite(value) else None
