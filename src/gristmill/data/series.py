"""Rows in the order of time: one step apart, nothing missing, nothing twice; what is otherwise is told by its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.data.moments import Step, moments, step_of
from gristmill.data.splits import NAMES, Indices

Columns = dict[str, np.ndarray]
_TIMES = ("time", "date", "datetime", "timestamp", "ds", "month", "year")


class Series(NamedTuple):
    """`columns` sorted by the column `time`; `span`: the first and the last time as they were written."""

    columns: Columns
    time: str
    step: Step
    span: tuple[str, str]


def in_time(columns: Columns, source: Path, options: Mapping[str, Any], split_column: str) -> Series:
    """Raises Unprocessable naming the line of a CSV or JSONL file, or the row of any other."""
    place = _Places(source, options)
    time = _time_column(columns, options.get("time"), split_column)
    _check_numbers({name: values for name, values in columns.items() if name not in (time, split_column)}, place)
    when = moments(columns[time], place.of)
    order = np.argsort(when.values, kind="stable")
    step = step_of(when, order, place.of)
    ordered = {name: values[order] for name, values in columns.items()}
    return Series(ordered, time, step, (when.text(int(order[0])), when.text(int(order[-1]))))


def split_in_time(rows: int, ratios: Sequence[float], marks: np.ndarray | None) -> Indices:
    """Train first, then validation, then test: nothing that is tested on lies before what was learned from.

    Raises Unprocessable when a split column says otherwise, or when there are fewer rows than parts.
    """
    if marks is None:
        bounds = np.round(np.cumsum(ratios)[:2] * rows).astype(int)
        sides = np.repeat(np.arange(3), np.diff([0, *bounds, rows]))
    else:
        names = [str(mark) for mark in marks]
        if unknown := sorted(set(names) - set(NAMES)):
            raise Unprocessable(f"The split column holds {unknown[0]!r}: expected are {', '.join(NAMES)}.")
        sides = np.asarray([NAMES.index(name) for name in names])
        if (np.diff(sides) < 0).any():
            raise Unprocessable("The split column mixes times: of a series train comes first, then validation, then "
                                "test.", field="split_column")  # fmt: skip
    parts = {name: np.flatnonzero(sides == number) for number, name in enumerate(NAMES)}
    if not len(parts["train"]):
        raise Unprocessable("The series has no training rows: it needs some before those that are held out.")
    return parts


class _Places:
    """Where a row stands in its file."""

    def __init__(self, source: Path, options: Mapping[str, Any]) -> None:
        name = source.name.removesuffix(".gz").lower()
        self._lines = name.endswith((".csv", ".tsv", ".txt", ".jsonl", ".ndjson"))
        table = not name.endswith(("jsonl", "ndjson"))
        header = options.get("header", options.get("columns") is None)
        self._first = 2 if table and header else 1
        self._file = source.name

    def of(self, row: int) -> str:
        return f"line {row + self._first} of {self._file}" if self._lines else f"row {row + 1} of {self._file}"


def _time_column(columns: Columns, told: str | None, split_column: str) -> str:
    names = [name for name in columns if name != split_column]
    if told is not None:
        if told not in names:
            raise Unprocessable(f"There is no column {told!r} for the time: there are {', '.join(names)}.",
                                field="time", expected=names)  # fmt: skip
        return told
    known = [name for name in names if name.lower() in _TIMES]
    texts = [name for name in names if columns[name].dtype == object]
    for found in (known, texts):
        if len(found) == 1:
            return found[0]
    raise Unprocessable(f"Say which column holds the time with --time: there are {', '.join(names)}.",
                        field="time", expected=names)  # fmt: skip


def _check_numbers(columns: Columns, place: _Places) -> None:
    if not columns:
        raise Unprocessable("The data has no series beside the time: there is nothing to forecast.")
    for name, values in columns.items():
        for row, value in enumerate(values) if values.dtype == object else ():
            if value is None:
                _missing(name, place.of(row))
            if not _is_number(value):
                raise Unprocessable(f"In {place.of(row)} {name!r} is {str(value)[:40]!r}, and a series holds numbers: "
                                    "mend it, or leave the column out.", field=name, got=value)  # fmt: skip
        if values.dtype != object and len(wrong := np.flatnonzero(~np.isfinite(values.astype(np.float64)))):
            _missing(name, place.of(int(wrong[0])))


def _missing(name: str, place: str) -> None:
    raise Unprocessable(f"In {place} {name!r} has no finite value: fill in what is missing, or leave the column out.",
                        field=name)  # fmt: skip


def _is_number(value: object) -> bool:
    try:
        return bool(np.isfinite(float(str(value))))
    except ValueError:
        return False
