"""What a point of quality cost from each version of a model to the next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from gristmill.books.accounts import EXPERIMENTS
from gristmill.books.reports.scope import Quality, Scope
from gristmill.books.reports.table import each, found

_POINT = 0.01
_BOUNDED = frozenset({"accuracy", "f1", "auc", "r2", "map50", "span_f1"})  # whose point is a hundredth
_NOTES = (
    "cost = what was capitalised in the newer version + experiments on the model since the older one was made.",
    "A point is 0.01 of a metric that ends at 1 (accuracy), and 1 of any other; a gain is positive when the newer "
    "version is better, and has no cost a point when it is not.",
)


def report(scope: Scope) -> dict[str, Any]:
    capitalised: dict[str, dict[str, int]] = defaultdict(dict)
    for row in scope.money(("version",), "assets:version:", ever=True):
        capitalised[row["version"]][row["currency"]] = row["micro"]
    made = {
        row["version"]: row["day"] for row in reversed(scope.sums(("version", "day"), "units:expected:", ever=True))
    }  # the first day of each: later ones hold new estimates
    experiments = scope.money(("model", "day"), EXPERIMENTS, ever=True)
    rows = []
    for old, new in _successions(scope):
        model, since, until = _model(new.version), made.get(old.version, 0), made.get(new.version, 0)
        for currency, micro in sorted(capitalised[new.version].items()):
            tried = sum(
                row["micro"] for row in experiments
                if (row["model"], row["currency"]) == (model, currency) and since <= row["day"] <= until
            )  # fmt: skip
            rows.append(_row(old, new, currency, micro, tried))
    return found("quality-cost", rows, _NOTES)


def _successions(scope: Scope) -> Iterator[tuple[Quality, Quality]]:
    """Neighbouring versions of each model that were measured by the same metric."""
    by_model: dict[tuple[str, str], list[Quality]] = defaultdict(list)
    for quality in scope.qualities:
        if quality.tenant == scope.tenant and scope.model in (None, _model(quality.version)):
            by_model[_model(quality.version), quality.metric].append(quality)
    for _, measured in sorted(by_model.items()):
        yield from pairwise(sorted(measured, key=lambda quality: int(quality.version.partition("@")[2])))


def _row(old: Quality, new: Quality, currency: str, capitalised: int, experiments: int) -> dict[str, Any]:
    point = _POINT if new.metric in _BOUNDED else 1.0
    gain = (new.value - old.value) / point * (1 if new.higher_is_better else -1)
    cost = capitalised + experiments
    return {
        "from": old.version, "to": new.version, "metric": new.metric, "from_quality": old.value,
        "to_quality": new.value, "points_gained": round(gain, 6), "currency": currency,
        "capitalised_micro": capitalised, "experiments_micro": experiments, "cost_micro": cost,
        "cost_per_point": each(cost, gain) if gain > 0 else None,
    }  # fmt: skip


def _model(version: str) -> str:
    return version.partition("@")[0]
