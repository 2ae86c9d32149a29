"""What the books hold of a model's versions and their data, and the prices that follow from it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from gristmill.books.forecast.question import Cost
from gristmill.books.reports.scope import Scope
from gristmill.control.forecasts.attempts import Attempt
from gristmill.core.forecasting import OF_COMPUTE, PEOPLE, Input
from gristmill.core.money import MICRO
from gristmill.registry.versions import Version

_COMPUTE = ("compute", "energy")


class Spending(NamedTuple):
    """What the books hold of versions and data, in units of one currency."""

    compute: dict[str, float]  # by version
    people: dict[str, float]
    hours: dict[str, float]
    row_price: float | None
    currency: str


def spending(scope: Scope, made: Sequence[Version]) -> Spending:
    """In the currency in which most was spent."""
    by_currency: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))
    hours: dict[str, float] = defaultdict(float)
    for row in scope.money(("version", "item"), "assets:version:", ever=True):
        kind = row["item"].partition(".")[0]
        kept = "compute" if kind in _COMPUTE else kind
        by_currency[row["currency"]][kept][row["version"]] += row["micro"] / MICRO
        hours[row["version"]] += row["quantity"] if kind == PEOPLE else 0.0
    currency = max(by_currency, key=lambda one: sum(map(_total, by_currency[one].values())), default="USD")
    kinds = by_currency[currency]
    return Spending(kinds["compute"], kinds[PEOPLE], hours, _row_price(scope, made, currency), currency)


def _row_price(scope: Scope, made: Sequence[Version], currency: str) -> float | None:
    """What a row of the versions' datasets cost; None where no data was paid for."""
    items = {f"data.{name}" for version in made for name in version.manifest.lineage.datasets}
    everywhere = scope._replace(model=None)
    rows = [row for row in everywhere.money(("item",), "inputs:data", ever=True) if row["item"] in items]
    paid = [row for row in rows if row["currency"] == currency and row["quantity"]]
    counted = sum(abs(row["quantity"]) for row in paid)
    return sum(abs(row["micro"]) for row in paid) / MICRO / counted if counted else None


def costs(attempts: Sequence[Attempt], spent: Spending, names: Sequence[str]) -> list[Cost]:
    """Compute goes with rows × parameters × passes, as those of them that vary; data with rows; people with hours."""
    references = [one.version.reference for one in attempts]
    powers = {name: 1.0 for name in OF_COMPUTE if name in names}
    found = []
    computed = sum(spent.compute.get(one, 0.0) for one in references)
    if computed and powers:
        work = sum(math.prod(one.inputs[name] for name in powers) for one in attempts)
        found.append(Cost("compute", computed / work, powers))
    if spent.row_price and Input.rows in names:
        found.append(Cost("data", spent.row_price, {Input.rows.value: 1.0}))
    if PEOPLE in names:
        paid, hours = (sum(by.get(one, 0.0) for one in references) for by in (spent.people, spent.hours))
        found.append(Cost(PEOPLE, paid / hours, {PEOPLE: 1.0}))
    return found


def _total(by: dict[str, float]) -> float:
    return sum(by.values())
