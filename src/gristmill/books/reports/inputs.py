"""What was put into each place, item by item, with how much of it, how it is known, and its share of the whole."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from gristmill.books.inheritance import SHARE
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found, share

_NOTHING = 1e-9  # what is left of sums of fractions that cancel
_NOTES = (
    "A place is a version, or what no version was made of yet: a run, a model, a dataset, a pool that many share.",
    "share: of all that stands there in that currency, before anything was written down. An inherited item came from "
    "the version that this one was made from, and is less there.",
)
_Key = tuple[str, str, str]


def report(scope: Scope) -> dict[str, Any]:
    """One row a place and item; `cost_micro` of a version sums to what is capitalised in it."""
    cost: dict[_Key, int] = defaultdict(int)
    used: dict[_Key, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    known: dict[_Key, set[str]] = defaultdict(set)
    whole: dict[tuple[str, str], int] = defaultdict(int)
    pools = () if scope.model else ("shared:",)  # of which a model has a share only once it was given one
    for row in scope.money(("account", "item", "unit", "basis"), "assets:", *pools, ever=True):
        place = row["account"].removeprefix("assets:")
        key = (place, row["currency"], row["item"])
        cost[key] += row["micro"]
        whole[place, row["currency"]] += row["micro"]
        if row["unit"] != SHARE:  # what was inherited took no hours away
            used[key][row["unit"]] += row["quantity"]
            known[key] |= {row["basis"]} if row["micro"] or abs(row["quantity"]) >= _NOTHING else set()
    rows = []
    for place, currency, item in sorted((key for key in cost if cost[key]), key=lambda key: (*key[:2], -cost[key])):
        key = (place, currency, item)
        unit, quantity = next(iter(used[key].items())) if len(used[key]) == 1 else (None, None)
        rows.append({"place": place, "item": item, "currency": currency, "quantity": quantity, "unit": unit,
                     "basis": ", ".join(sorted(known[key])) or None, "cost_micro": cost[key],
                     "share": share(cost[key], whole[place, currency])})  # fmt: skip
    return found("inputs", rows, _NOTES if rows else ())
