"""Rows of a report, gathered cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from gristmill.core.money import MICRO


class Cells:
    """Whole numbers by row and column; a cell that was never added to is 0."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._rows: dict[tuple[str, ...], dict[str, int]] = {}

    def add(self, row: tuple[str, ...], column: str, amount: int) -> None:
        cells = self._rows.setdefault(row, dict.fromkeys(self._columns, 0))
        cells[column] += amount

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], dict[str, int]]]:
        """Rows in order of their keys."""
        return iter(sorted(self._rows.items()))


def each(micro: int, units: int | float, of: int = 1) -> str | None:
    """Money for `of` units to nine places, as a micro-unit is too coarse for one request; None for no unit."""
    if units <= 0:
        return None
    return format((Decimal(micro) * of / MICRO / Decimal(repr(units))).quantize(Decimal("1e-9")), "f")


def share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def found(name: str, rows: list[dict[str, Any]], notes: Sequence[str] = ()) -> dict[str, Any]:
    """A report's document: its rows, and what one must know to read them."""
    return {"report": name, "rows": rows} | ({"notes": " ".join(notes)} if notes else {})
