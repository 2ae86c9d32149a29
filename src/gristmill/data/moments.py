"""Times as people write them, and the step from one to the next: a span of seconds, or months of the calendar."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from gristmill.core.errors import Unprocessable

Place = Callable[[int], str]  # a row → where it stands in its file
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_UNITS = ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moments(NamedTuple):
    """Of each row the time in microseconds since 1970, or a plain number; `written` as it stood in the file.

    `months`: months since year 0 where each time is the same day and hour of its month, else None.
    """

    values: np.ndarray
    months: np.ndarray | None
    written: np.ndarray
    plain: bool

    def text(self, row: int) -> str:
        value = self.written[row]
        return f"{value:g}" if self.plain else str(value)


class Step(NamedTuple):
    """`number` of `unit`: second to week, month, year, or a plain number's `1`."""

    number: float
    unit: str

    def __str__(self) -> str:
        return f"{self.number:g} {self.unit}{'' if self.number == 1 or not self.unit else 's'}".strip()


def moments(column: np.ndarray, place: Place) -> Moments:
    """Raises Unprocessable naming the first that is no time."""
    if column.dtype != object:
        wrong = np.flatnonzero(~np.isfinite(column.astype(np.float64)))
        if len(wrong):
            raise Unprocessable(f"In {place(int(wrong[0]))} there is no time: every row needs one.", field="time")
        return Moments(column.astype(np.float64), None, column, True)
    read = [_read(value, row, place) for row, value in enumerate(column)]
    values = np.asarray([(moment - _EPOCH) // _MICROSECOND for moment in read], np.int64)
    return Moments(values, _months(read), column, False)


def _months(read: list[datetime]) -> np.ndarray | None:
    """Of times on one day of their months, or on the last of each, as many write the month itself."""
    for later in (timedelta(), timedelta(days=1)):
        moved = [moment + later for moment in read]
        if len({(moment.day, moment.timetz()) for moment in moved}) == 1:
            return np.asarray([moment.year * 12 + moment.month for moment in moved])
    return None


def _read(value: object, row: int, place: Place) -> datetime:
    if value is None:
        raise Unprocessable(f"In {place(row)} there is no time: every row needs one.", field="time")
    text = str(value).strip()
    if match := _MONTH.fullmatch(text):
        text = f"{match[1]}-{match[2]}-01"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unprocessable(
            f"In {place(row)} {text[:40]!r} is no time: write it as 2016-07-01 13:00:00, 2016-07-01, 2016-07 or a "
            "plain number.", field="time", got=text[:40],
        ) from None  # fmt: skip
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def step_of(when: Moments, order: np.ndarray, place: Place) -> Step:
    """What lies between each time and the next. Raises Unprocessable naming the first that is twice, or off step."""
    if len(order) < 2:
        raise Unprocessable("The series has one row: a step takes two.", field="time")
    gaps = np.diff(when.values[order])
    if twice := np.flatnonzero(gaps == 0).tolist():
        first, second = int(order[twice[0]]), int(order[twice[0] + 1])
        raise Unprocessable(f"The time {when.text(second)} in {place(second)} stands in {place(first)} already: keep "
                            "one of them.", field="time")  # fmt: skip
    step = _usual(gaps)
    if _regular(gaps, step):
        return _named(step, when.plain)
    if when.months is not None:
        months = np.diff(when.months[order])
        if _regular(months, usual := _usual(months)):
            return Step(usual / 12, "year") if usual % 12 == 0 else Step(usual, "month")
        gaps, step, named = months, usual, Step(usual, "month")
    else:
        named = _named(step, when.plain)
    off = int(np.flatnonzero(~np.isclose(gaps, step, rtol=1e-9))[0])
    before, after = int(order[off]), int(order[off + 1])
    raise Unprocessable(
        f"The series has a step of {named}, and {when.text(after)} in {place(after)} does not come one step after "
        f"{when.text(before)}: fill in what is missing, or take out what is between.", field="time",
    )  # fmt: skip


def _usual(gaps: np.ndarray) -> float:
    distinct, counts = np.unique(gaps, return_counts=True)
    return float(distinct[counts.argmax()])


def _regular(gaps: np.ndarray, step: float) -> bool:
    return bool(np.allclose(gaps, step, rtol=1e-9, atol=0))


def _named(step: float, plain: bool) -> Step:
    if plain:
        return Step(step, "")
    seconds = step / 1e6
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds % size == 0), (1, "second"))
    return Step(seconds / size, unit)
