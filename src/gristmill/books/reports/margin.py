"""What each key earned with each version, and what is left of it."""

from __future__ import annotations

from typing import Any

from gristmill.books.reports.loading import by_key
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found, share

_NOTES = (
    "contribution = revenue - marginal cost; margin = contribution - write-down - idle.",
    "Costs are spread over keys by predictions served.",
)


def report(scope: Scope) -> dict[str, Any]:
    rows = []
    for (version, key, currency), values in by_key(scope):
        contribution = values["revenue_micro"] - values["marginal_micro"]
        margin = contribution - values["amortisation_micro"] - values["idle_micro"]
        rows.append(
            {
                "version": version,
                "key": key,
                "currency": currency,
                **values,
                "contribution_micro": contribution,
                "margin_micro": margin,
                "margin_share": share(margin, values["revenue_micro"]),
            }
        )
    return found("margin", rows, _NOTES)
