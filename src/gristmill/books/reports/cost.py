"""What each version cost, by kind of input; what of it is written down, off, and left; and its idle apart."""

from __future__ import annotations

from typing import Any

from gristmill.books import accounts
from gristmill.books.accounts import INPUTS, input_kind
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import Cells, found

_KINDS = tuple(f"{kind}_micro" for kind in INPUTS)
_STATE = ("capitalised_micro", "amortised_micro", "written_off_micro", "unamortised_micro", "idle_micro")
_NOTES = (
    "capitalised = amortised + written off + unamortised.",
    "idle: granted to the version's run and not used; an expense, no part of the version.",
)


def report(scope: Scope) -> dict[str, Any]:
    cells = Cells((*_KINDS, *_STATE))
    for row in scope.money(("version", "item"), "assets:version:", ever=True):
        key = (row["version"], row["currency"])
        cells.add(key, f"{input_kind(row['item'])}_micro", row["micro"])
        cells.add(key, "capitalised_micro", row["micro"])
        cells.add(key, "unamortised_micro", row["micro"])
    for account, column in (("amortised:", "amortised_micro"), ("written-off:", "written_off_micro")):
        for row in scope.money(("version",), account, ever=True):
            key = (row["version"], row["currency"])
            cells.add(key, column, -row["micro"])
            cells.add(key, "unamortised_micro", row["micro"])
    _idle(scope, cells)
    unpriced = _unpriced(scope)
    rows = [
        {"version": version, "currency": currency, **values, "unpriced": ", ".join(unpriced.get(version, [])) or None}
        for (version, currency), values in cells
        if version
    ]
    worth = {row["version"] for row in rows if _any(row)}
    return found("cost", [row for row in rows if _any(row) or row["version"] not in worth], _NOTES)


def _any(row: dict[str, Any]) -> bool:
    """A version whose foreign money was exchanged later is worth nothing in that any more."""
    return any(row[column] for column in (*_KINDS, *_STATE))


def _idle(scope: Scope, cells: Cells) -> None:
    made = {row["run"]: row["version"] for row in scope.sums(("run", "version"), "units:expected:", ever=True)}
    for row in scope.money(("run",), "idle:run:", ever=True):
        if row["run"] and row["run"] in made:
            cells.add((made[row["run"]], row["currency"]), "idle_micro", row["micro"])


def _unpriced(scope: Scope) -> dict[str, list[str]]:
    """Inputs of a version whose price is not known: its cost is more than is said."""
    lacking: dict[str, list[str]] = {}
    for row in scope.sums(("version", "item"), accounts.version_asset(""), ever=True, where={"unpriced": True}):
        if row["unknown"] > 0 or row["quantity"]:
            lacking.setdefault(row["version"], []).append(row["item"])
    return lacking
