"""Cost of serving each version, and the idle of its endpoints that its requests must carry."""

from __future__ import annotations

from collections import defaultdict

from gristmill.books.reports.owed import owed
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import Cells
from gristmill.core.money import split_largest_remainder

COLUMNS = ("marginal_micro", "amortisation_micro", "idle_micro", "revenue_micro")
Served = dict[tuple[str, ...], int]


def serving(scope: Scope) -> Cells:
    """Rows (version, currency): what serving it took, its write-down, its endpoints' idle, what it earned."""
    cells = _costs(scope)
    for due in owed(scope):
        cells.add((due.version, due.currency), "revenue_micro", due.micro)
    return cells


def _costs(scope: Scope) -> Cells:
    cells = Cells(COLUMNS)
    for row in scope.money(("version", "item"), "served:"):
        column = "amortisation_micro" if row["item"] == "amortisation" else "marginal_micro"
        cells.add((row["version"], row["currency"]), column, row["micro"])
    for row in scope.money(("version",), "idle:endpoint:"):
        cells.add((row["version"], row["currency"]), "idle_micro", row["micro"])
    return cells


def by_key(scope: Scope) -> Cells:
    """Rows (version, key, currency): `serving` spread over keys in proportion to the predictions they were served.

    What no prediction can spread stays under the key `undistributed`, so that the parts sum to the whole.
    """
    cells = Cells(COLUMNS)
    weights: dict[str, dict[str, int]] = defaultdict(dict)
    for row in scope.sums(("version", "account", "item"), "receivable:"):
        if row["item"] != "serving.request":  # counts its predictions already
            key = row["account"].partition(":")[2]
            weights[row["version"]][key] = weights[row["version"]].get(key, 0) + round(row["quantity"])
    for due in owed(scope):
        cells.add((due.version, due.key, due.currency), "revenue_micro", due.micro)
    for (version, currency), values in _costs(scope):
        keys = list(weights[version])
        for column in ("marginal_micro", "amortisation_micro", "idle_micro"):
            parts = split_largest_remainder(values[column], [weights[version][key] for key in keys])
            if parts is None:
                if values[column]:
                    cells.add((version, "undistributed", currency), column, values[column])
                continue
            for key, part in zip(keys, parts, strict=True):
                cells.add((version, key, currency), column, part)
    return cells
