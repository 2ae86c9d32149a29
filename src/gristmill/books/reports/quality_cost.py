"""What a point of quality cost from each version of a model to the next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from gristmill.books.accounts import EXPERIMENTS
from gristmill.books.inheritance import INHERITED
from gristmill.books.reports.records import first_and_sum
from gristmill.books.reports.scope import Quality, Scope
from gristmill.books.reports.table import each, found

_POINT = 0.01
_BOUNDED = frozenset({"accuracy", "f1", "auc", "r2", "map50", "span_f1"})  # whose point is a hundredth
_PARTS = ("capitalised_micro", "inherited_micro")
_NOTES = (
    "cost = what was capitalised in the newer version, less what it inherited (and was spent before), + experiments on "
    "the model between the making of the two.",
    "A point is 0.01 of a metric that ends at 1 (accuracy), and 1 of any other; a gain is positive when the newer "
    "version is better, and has no cost a point when it is not.",
)


def report(scope: Scope) -> dict[str, Any]:
    put_in: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: dict.fromkeys(_PARTS, 0)))
    for row in scope.money(("version", "item"), "assets:version:", ever=True):
        parts = put_in[row["version"]][row["currency"]]
        parts["capitalised_micro"] += row["micro"]
        parts["inherited_micro"] += row["micro"] if row["item"].endswith(INHERITED) else 0
    made = _made(scope)
    experiments = first_and_sum(scope.connection, scope.tenant, ("run", "model", "currency"), (EXPERIMENTS,))
    rows = []
    for old, new in _successions(scope):
        model, since, until = _model(new.version), made.get(old.version, 0), made.get(new.version, 0)
        for currency, parts in sorted(put_in[new.version].items()):
            tried = sum(
                row["micro"] for row in experiments
                if (row["model"], row["currency"]) == (model, currency) and since < row["first"] <= until
            )  # fmt: skip
            rows.append(_row(old, new, currency, parts | {"experiments_micro": tried}))
    return found("quality-cost", rows, _NOTES)


def _made(scope: Scope) -> dict[str, int]:
    """The entry by which each version was made: its later ones are new estimates."""
    accounts = {row["account"] for row in scope.sums(("account",), "units:expected:", ever=True)}
    rows = first_and_sum(scope.connection, scope.tenant, ("version",), sorted(accounts))
    return {row["version"]: row["first"] for row in rows}


def _successions(scope: Scope) -> Iterator[tuple[Quality, Quality]]:
    """Neighbouring versions of each model that were measured by the same metric."""
    by_model: dict[tuple[str, str], list[Quality]] = defaultdict(list)
    for quality in scope.qualities:
        if quality.tenant == scope.tenant and scope.model in (None, _model(quality.version)):
            by_model[_model(quality.version), quality.metric].append(quality)
    for _, measured in sorted(by_model.items()):
        yield from pairwise(sorted(measured, key=lambda quality: int(quality.version.partition("@")[2])))


def point_of(metric: str) -> float:
    """How much of `metric` is a point."""
    return _POINT if metric in _BOUNDED else 1.0


def _row(old: Quality, new: Quality, currency: str, parts: dict[str, int]) -> dict[str, Any]:
    gain = (new.value - old.value) / point_of(new.metric) * (1 if new.higher_is_better else -1)
    cost = parts["capitalised_micro"] - parts["inherited_micro"] + parts["experiments_micro"]
    return {
        "from": old.version, "to": new.version, "metric": new.metric, "from_quality": old.value,
        "to_quality": new.value, "points_gained": round(gain, 6), "currency": currency, **parts, "cost_micro": cost,
        "cost_per_point": each(cost, gain) if gain > 0 else None,
    }  # fmt: skip


def _model(version: str) -> str:
    return version.partition("@")[0]
