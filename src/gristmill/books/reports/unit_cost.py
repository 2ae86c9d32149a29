"""What one request and one prediction cost: marginal (serving alone) and fully loaded (with write-down and idle)."""

from __future__ import annotations

from typing import Any

from gristmill.books.reports.loading import serving
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import each, found

_NOTES = (
    "marginal: what replicas used while busy.",
    "fully loaded: marginal + write-down of the version + idle of its endpoint.",
    "Requests answered with 2xx are counted.",
)


def report(scope: Scope) -> dict[str, Any]:
    requests = answered(scope)
    predictions = scope.counts(("version",), "units:served:")
    rows = []
    for (version, currency), values in serving(scope):
        asked, served = requests.get(version, 0), predictions.get((version,), 0)
        loaded = values["marginal_micro"] + values["amortisation_micro"] + values["idle_micro"]
        rows.append(
            {
                "version": version,
                "currency": currency,
                "requests": asked,
                "predictions": served,
                **{name: values[name] for name in ("marginal_micro", "amortisation_micro", "idle_micro")},
                "marginal_per_request": each(values["marginal_micro"], asked),
                "loaded_per_request": each(loaded, asked),
                "marginal_per_prediction": each(values["marginal_micro"], served),
                "loaded_per_prediction": each(loaded, served),
            }
        )
    return found("unit-cost", rows, _NOTES)


def answered(scope: Scope) -> dict[str, int]:
    """Requests answered with 2xx, by version."""
    counted: dict[str, int] = {}
    for (version, item), number in scope.counts(("version", "item"), "units:requests:").items():
        if item.endswith(".2xx"):
            counted[version] = counted.get(version, 0) + number
    return counted
