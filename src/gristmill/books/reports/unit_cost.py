"""What a request, 1,000 tokens and a prediction cost: marginal (serving alone) and fully loaded, side by side."""

from __future__ import annotations

from typing import Any

from gristmill.books.reports.loading import serving
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import each, found

_NOTES = (
    "marginal: what replicas used while busy.",
    "fully loaded: marginal + write-down of the version + idle of its endpoint.",
    "Requests answered with 2xx are counted; tokens of all classes.",
)


def report(scope: Scope) -> dict[str, Any]:
    requests = answered(scope)
    predictions = scope.counts(("version",), "units:served:")
    tokens = scope.counts(("version",), "units:tokens:")
    rows = []
    for (version, currency), values in serving(scope):
        loaded = values["marginal_micro"] + values["amortisation_micro"] + values["idle_micro"]
        counted = {
            "request": (requests.get(version, 0), 1),
            "1000_tokens": (tokens.get((version,), 0), 1000),
            "prediction": (predictions.get((version,), 0), 1),
        }
        row: dict[str, Any] = {"version": version, "currency": currency}
        row |= {f"{unit.removeprefix('1000_').removesuffix('s')}s": units for unit, (units, _) in counted.items()}
        row |= {name: values[name] for name in ("marginal_micro", "amortisation_micro", "idle_micro")}
        for unit, (units, of) in counted.items():
            row[f"marginal_per_{unit}"] = each(values["marginal_micro"], units, of)
            row[f"loaded_per_{unit}"] = each(loaded, units, of)
        rows.append(row)
    return found("unit-cost", rows, _NOTES)


def answered(scope: Scope) -> dict[str, int]:
    """Requests answered with 2xx, by version."""
    counted: dict[str, int] = {}
    for (version, item), number in scope.counts(("version", "item"), "units:requests:").items():
        if item.endswith(".2xx"):
            counted[version] = counted.get(version, 0) + number
    return counted
