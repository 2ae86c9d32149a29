"""Histories of series as requests write them → float32 [N, window, S]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.tasks.tabular import check_names


def parse_histories(payload: Any, window: int, names: Sequence[str]) -> np.ndarray:
    """One history or a list of them, each as steps (lists, or records by name), or as values by series.

    Of a single series a history may be a plain list of its values. Raises Unprocessable naming what does not fit.
    """
    if isinstance(payload, Mapping):
        return _checked([_by_name(payload, names)], window, names)
    if not isinstance(payload, list) or not payload:
        raise Unprocessable(
            f"The inputs should be a history: {window} steps of {', '.join(names)}, as a list of steps or as values "
            "by series.", field="inputs", got=type(payload).__name__ if payload != [] else 0,
        )  # fmt: skip
    if all(isinstance(one, Mapping) for one in payload):
        tables = [any(isinstance(value, list) for value in one.values()) for one in payload]
        if all(tables):
            return _checked([_by_name(one, names) for one in payload], window, names)
        return _checked([[_step(one, names, place) for place, one in enumerate(payload)]], window, names)
    return _checked(_nested(payload, len(names)), window, names)


def _by_name(table: Mapping[str, Any], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """{series: values} → steps."""
    given = table.get("table") or table.get("data") or table
    if not isinstance(given, Mapping):
        raise Unprocessable("A table is values by series.", field="inputs", expected=list(names))
    check_names(given, names, "The history", "series")
    lengths = {name: len(given[name]) if isinstance(given[name], list) else 0 for name in names}
    if len(set(lengths.values())) != 1:
        raise Unprocessable("The series differ in length: each needs one value a step.", field="inputs", got=lengths)
    return list(zip(*(given[name] for name in names), strict=True)) if any(lengths.values()) else []


def _step(record: Mapping[str, Any], names: Sequence[str], place: int) -> tuple[Any, ...]:
    check_names(record, names, f"Step {place + 1}", "series")
    return tuple(record[name] for name in names)


def _nested(payload: list[Any], series: int) -> list[Any]:
    """Lists → histories of steps of values."""
    depth = _depth(payload)
    if depth == 1 and series == 1:
        return [[[value] for value in payload]]
    if depth == 2:
        # of a single series, rows of one value are steps; longer ones are histories
        plain = series == 1 and any(isinstance(row, list) and len(row) != 1 for row in payload)
        return [[[value] for value in row] if isinstance(row, list) else row for row in payload] if plain else [payload]
    return payload


def _depth(value: Any) -> int:
    return 1 + _depth(value[0]) if isinstance(value, list) and value else 0


def _checked(histories: list[Any], window: int, names: Sequence[str]) -> np.ndarray:
    for number, history in enumerate(histories):
        where = f"History {number + 1}" if len(histories) > 1 else "The history"
        if not isinstance(history, list) or len(history) != window:
            got = len(history) if isinstance(history, list) else 0
            _refuse(f"{where} should have {window} steps, and has {got}.", window, got)
        for place, step in enumerate(history):
            if not isinstance(step, list | tuple) or len(step) != len(names):
                got = len(step) if isinstance(step, list | tuple) else 1
                _refuse(f"Step {place + 1} of {where.lower()} should have {len(names)} "
                        f"{'value' if len(names) == 1 else 'values'} ({', '.join(names)}), and has {got}.",
                        len(names), got)  # fmt: skip
    return _numbers(histories, names)


def _numbers(histories: list[Any], names: Sequence[str]) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # beyond float32 is infinite, which is told below
            values = np.asarray(histories, np.float32)
    except (TypeError, ValueError, OverflowError):
        values = np.asarray([[[_number(value) for value in step] for step in one] for one in histories], np.float32)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        history, step, place = wrong[0]
        got = histories[history][step][place]
        raise Unprocessable(f"{names[place]!r} in step {step + 1} should be a finite number, and is {got!r}.",
                            field=names[place], expected="a finite number", got=str(got))  # fmt: skip
    return values


def _number(value: Any) -> float:
    """NaN for what is none."""
    try:
        return float(np.float32(value))
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _refuse(sentence: str, expected: int, got: int) -> NoReturn:
    raise Unprocessable(sentence, field="inputs", expected=expected, got=got)
