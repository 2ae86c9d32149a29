"""How many predictions pay a version's R&D back, and when, at the pace and prices so far."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from gristmill.books.accounts import served_units
from gristmill.books.reports.loading import serving
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import each, found

_FARTHEST_DAYS = 36_500
_NOTES = (
    "Assumes that prices, marginal cost and predictions a day stay as they were over the days with traffic.",
    "R&D is what was capitalised; idle is not paid back here.",
)


def report(scope: Scope) -> dict[str, Any]:
    predictions = scope.counts(("version",), "units:served:")
    research: dict[tuple[str, str], int] = {
        (row["version"], row["currency"]): row["micro"]
        for row in scope.money(("version",), "assets:version:", ever=True)
    }
    earned = dict(serving(scope))
    rows = []
    for (version, currency), capitalised in sorted(research.items()):
        served = predictions.get((version,), 0)
        values = earned.get((version, currency))
        contribution = values["revenue_micro"] - values["marginal_micro"] if values else 0
        row = {
            "version": version,
            "currency": currency,
            "capitalised_micro": capitalised,
            "predictions": served,
            "contribution_micro": contribution,
            "contribution_per_prediction": each(contribution, served),
        }
        rows.append(row | _payback(scope, version, capitalised, contribution, served))
    return found("break-even", rows, _NOTES)


def _payback(scope: Scope, version: str, capitalised: int, contribution: int, served: int) -> dict[str, Any]:
    if served == 0:
        return _told(None, None, "no prediction served yet")
    if contribution <= 0:
        return _told(None, None, "never: a prediction earns no more than it costs to serve")
    volume = -int(-(Fraction(capitalised) * served / contribution) // 1)
    if served >= volume:
        return _told(volume, None, "paid back")
    days = scope.sums(("day",), served_units(version))
    first, last = min(row["day"] for row in days), max(row["day"] for row in days)
    pace = Fraction(served, last - first + 1)
    left = -int(-Fraction(volume - served) / pace // 1)
    if left > _FARTHEST_DAYS:
        return _told(volume, None, "not within 100 years at this pace")
    date = datetime.fromtimestamp(last * 86_400, UTC).date() + timedelta(days=left)
    return _told(volume, date.isoformat(), f"in {left} days at {float(pace):.0f} predictions a day")


def _told(volume: int | None, date: str | None, said: str) -> dict[str, Any]:
    return {"break_even_predictions": volume, "payback_date": date, "payback": said}
