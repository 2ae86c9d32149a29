"""Months and days as people write them: `2026-11`, `2026-11-23`, or a moment; all in UTC, as the books count days."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime

from gristmill.core.clock import parse_iso
from gristmill.core.errors import Unprocessable

DAY_S = 86_400
_MONTH = re.compile(r"(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])")


def begin(text: str, field: str = "since") -> float:
    """The first moment of a month or day, or the moment itself. Raises Unprocessable."""
    match = _MONTH.fullmatch(text)
    return _moment(f"{text}-01" if match else text, field)


def end(text: str, field: str = "until") -> float:
    """A moment in the last day of a month, of a day, or the moment itself: whole days are counted."""
    match = _MONTH.fullmatch(text)
    if match is None:
        return _moment(text, field)
    last = calendar.monthrange(int(match["year"]), int(match["month"]))[1]
    return _moment(f"{text}-{last}", field)


def month(text: str) -> tuple[float, float]:
    """The first moments of a month (`2026-11`) and of the next one. Raises Unprocessable."""
    if not _MONTH.fullmatch(text):
        raise Unprocessable(f"{text!r} is not a month: write it as 2026-11.", field="month", got=text)
    return begin(text), end(text) + DAY_S


def month_of(day: int) -> str:
    """`2026-11` of the days since the epoch."""
    return datetime.fromtimestamp(day * DAY_S, UTC).strftime("%Y-%m")


def day_of(day: int) -> str:
    """`2026-11-23` of the days since the epoch."""
    return _date(day).isoformat()


def months(first_day: int, last_day: int) -> list[str]:
    """Every month that has one of the days, in order."""
    at, last = _date(first_day).replace(day=1), _date(last_day)
    found = []
    while at <= last:
        found.append(at.strftime("%Y-%m"))
        at = at.replace(year=at.year + 1, month=1) if at.month == 12 else at.replace(month=at.month + 1)
    return found


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * DAY_S, UTC).date()


def _moment(text: str, field: str) -> float:
    try:
        return parse_iso(text)
    except ValueError:
        raise Unprocessable(
            f"{field} is not a time: write it as 2026-11, 2026-11-23 or 2026-11-23T14:00:00Z.", field=field, got=text
        ) from None
