"""What each version of a model earned a day, on the days on which it answered nearly all of the model's requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from gristmill.books.forecast.question import Earned
from gristmill.books.reports.scope import Quality, Scope
from gristmill.control.forecasts.attempts import error_of
from gristmill.core.money import MICRO

_NEARLY_ALL = 0.9  # of a day's answered requests


def earned(scope: Scope, tested: Sequence[Quality], currency: str) -> list[Earned]:
    """Of the tested versions that earned anything in `currency`, in the order of `tested`."""
    revenue: dict[tuple[str, int], float] = defaultdict(float)
    for row in scope.money(("version", "day"), "revenue:", ever=True):
        if row["currency"] == currency:
            revenue[row["version"], row["day"]] -= row["micro"] / MICRO
    days: dict[str, list[int]] = defaultdict(list)
    for day, answered in _answered(scope).items():
        first = max(answered, key=lambda version: answered[version])
        if answered[first] >= _NEARLY_ALL * sum(answered.values()):
            days[first].append(day)
    found = []
    for one in tested:
        theirs = days[one.version]
        total = sum(revenue[one.version, day] for day in theirs)
        if total > 0:
            found.append(Earned(one.version, error_of(one), total / len(theirs), len(theirs)))
    return found


def _answered(scope: Scope) -> dict[int, dict[str, float]]:
    """Requests answered with 2xx, by day and version; days without any are none."""
    found: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in scope.sums(("version", "item", "day"), "units:requests:", ever=True):
        if row["item"].endswith(".2xx") and row["quantity"] > 0:
            found[row["day"]][row["version"]] += row["quantity"]
    return found
