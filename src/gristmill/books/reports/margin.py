"""What each key earned with each version, and what is left of it; or each version, model, month or tenant."""

from __future__ import annotations

from typing import Any

from gristmill.books.reports.loading import COLUMNS, by_key
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import Cells, found, share
from gristmill.core.reports import Breakdown

_NOTES = (
    "contribution = revenue - marginal cost; margin = contribution - write-down - idle.",
    "Costs are spread over keys by predictions served. Revenue in a foreign currency is counted at its day's exchange "
    "rate, where one is on the card `exchange`.",
)
_DIMENSIONS: dict[Breakdown, tuple[str, ...]] = {
    Breakdown.key: ("version", "key"),
    Breakdown.version: ("version",),
    Breakdown.model: ("model",),
    Breakdown.month: (),
    Breakdown.tenant: (),
}


def report(scope: Scope) -> dict[str, Any]:
    names = _DIMENSIONS[scope.by or Breakdown.key]
    cells = Cells(COLUMNS)
    for (version, key, currency), values in by_key(scope):
        known = {"version": version, "key": key, "model": version.partition("@")[0]}
        for column, micro in values.items():
            cells.add((*(known[name] for name in names), currency), column, micro)
    rows = [dict(zip((*names, "currency"), place, strict=True)) | values | _margin(values) for place, values in cells]
    return found("margin", rows, _NOTES)


def _margin(values: dict[str, int]) -> dict[str, Any]:
    contribution = values["revenue_micro"] - values["marginal_micro"]
    margin = contribution - values["amortisation_micro"] - values["idle_micro"]
    return {
        "contribution_micro": contribution,
        "margin_micro": margin,
        "margin_share": share(margin, values["revenue_micro"]),
    }
