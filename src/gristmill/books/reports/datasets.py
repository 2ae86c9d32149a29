"""What each dataset version cost, and a row of it that survived cleaning; where that cost stands by now."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from gristmill.books.accounts import dataset_asset
from gristmill.books.inheritance import SHARE
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import Cells, each, found

_PAID, _WAITING, _IN_VERSIONS, _INHERITED = "paid_micro", "waiting_micro", "in_versions_micro", "inherited_micro"
_ITEM = "data."
_NOTES = (
    "paid: for the data itself (bought, labelled, cleaned); per row: of the rows that survived cleaning.",
    "waiting: what stands on the dataset, also hours, services and storage, until a version is made from it; "
    "in versions: what the versions made from it hold of all that; inherited: what they gave to versions made from "
    "them in turn.",
)


def report(scope: Scope) -> dict[str, Any]:
    cells = Cells((_PAID, _WAITING, _IN_VERSIONS, _INHERITED))
    rows_of: dict[str, float] = defaultdict(float)
    unpriced: set[str] = set()
    for row in scope.sums(("item", "currency", "unpriced"), "inputs:data", ever=True):
        name = row["item"].removeprefix(_ITEM)
        rows_of[name] -= row["quantity"]
        if row["unpriced"]:
            unpriced.add(name)
        else:
            cells.add((name, row["currency"]), _PAID, -row["micro"])
    prefix = dataset_asset("")
    for row in scope.money(("account",), prefix, ever=True):
        cells.add((row["account"].removeprefix(prefix), row["currency"]), _WAITING, row["micro"])
    for row in scope.money(("item", "unit"), "assets:version:", ever=True):
        if row["item"].startswith(_ITEM) and "@" in row["item"]:
            key = (row["item"].removeprefix(_ITEM), row["currency"])
            cells.add(key, _IN_VERSIONS, row["micro"])
            if row["unit"] == SHARE:
                cells.add(key, _INHERITED, -row["micro"])
    rows = [
        {"dataset": name, "currency": currency, "rows": round(rows_of[name]), **values,
         "paid_per_row": each(values[_PAID], round(rows_of[name])), "unpriced": name in unpriced}
        for (name, currency), values in cells
    ]  # fmt: skip
    return found("datasets", rows, _NOTES if rows else ())
