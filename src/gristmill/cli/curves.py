"""Curves in a terminal: braille dots, 2 across and 4 down a cell. Pure functions on values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from rich.text import Text

Points = Sequence[tuple[float, float]]
COLOURS = ("cyan", "magenta", "green", "yellow")
_HIGHEST = 1e100  # a loss beyond has diverged, and differences of such numbers overflow; NaN is no point either
_BLANK = 0x2800
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column, then row from the top


def plot(curves: Mapping[str, Points], width: int = 60, height: int = 8) -> Text:
    """Draw each curve in its colour with the range of y at the left and a legend below; curves may be empty."""
    finite = {name: [point for point in points if abs(point[1]) < _HIGHEST] for name, points in curves.items()}
    every = [point for points in finite.values() for point in points]
    if not every:
        return Text("no points yet", style="dim")
    left, right = _range([x for x, _ in every])
    low, high = _range([y for _, y in every])
    cells: dict[tuple[int, int], tuple[int, str]] = {}
    for colour, points in zip(_cycle(len(finite)), finite.values(), strict=True):
        for x, y in _dense(points, width * 4):
            column = round((x - left) / (right - left) * (width * 2 - 1))
            row = round((high - y) / (high - low) * (height * 4 - 1))
            key = (row // 4, column // 2)
            mask, _ = cells.get(key, (0, colour))
            cells[key] = (mask | _DOTS[column % 2][row % 4], colour)
    return _drawn(cells, width, height, low, high) + _legend(finite)


def _drawn(cells: Mapping[tuple[int, int], tuple[int, str]], width: int, height: int, low: float, high: float) -> Text:
    text = Text()
    for row in range(height):
        label = {0: f"{high:.3g}", height - 1: f"{low:.3g}"}.get(row, "")
        text.append(f"{label:>10} ┤", style="dim")
        for column in range(width):
            mask, colour = cells.get((row, column), (0, ""))
            text.append(chr(_BLANK + mask) if mask else " ", style=colour)
        text.append("\n")
    return text


def _legend(curves: Mapping[str, Points]) -> Text:
    text = Text(" " * 12)
    for colour, (name, points) in zip(_cycle(len(curves)), curves.items(), strict=True):
        last = f" {points[-1][1]:.4g}" if points else ""
        text.append(f"● {name}{last}   ", style=colour)
    return text


def _dense(points: Points, wanted: int) -> list[tuple[float, float]]:
    """The points joined by straight lines, so that a short curve is no scatter."""
    joined = list(points[:1])
    each = max(1, wanted // max(1, len(points)))
    for (x0, y0), (x1, y1) in pairwise(points):
        joined += [(x0 + (x1 - x0) * i / each, y0 + (y1 - y0) * i / each) for i in range(1, each + 1)]
    return joined


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = max(0.5, abs(low) * 1e-9)  # a flat curve runs in the middle
    return (low, high) if high - low > margin * 1e-6 else (low - margin, high + margin)


def _cycle(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]
