"""Runs of the best version's recipe that differ in seed and searched fields alone: what search has brought so far."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from gristmill.books.forecast.search import LEAST_RUNS, Tried
from gristmill.control.forecasts.attempts import Attempt
from gristmill.core.forecasting import OF_COMPUTE

_SEARCHED = frozenset({"name", "optimiser", "schedule", "regularisation", "resources", "priority"})
_SHARES = frozenset({"rows", "fraction", "version"})  # two ways to say one thing: the rows are among the inputs
_SEARCHED_OF_TRAINING = frozenset({"seed", "batch_size", "accumulate"})


def tried(attempts: Sequence[Attempt], compute: Mapping[str, float], elsewhere: bool) -> tuple[Tried | None, list[str]]:
    """And why not. `compute`: money by version; `elsewhere`: the forecast is asked of another place than the best."""
    if elsewhere:
        return None, ["search is no input at a place of one's own: it is known of the best version's recipe alone."]
    best = min(attempts, key=lambda one: one.error)
    same = [one for one in attempts if _kept(one) == _kept(best)]
    if len(same) < LEAST_RUNS:
        return None, [f"search is no input here: {len(same)} runs of the recipe of {best.version.reference} differ in "
                      f"seed or searched fields alone, and {LEAST_RUNS} are needed."]  # fmt: skip
    cost = sum(compute.get(one.version.reference, 0.0) for one in same) / len(same)
    if cost <= 0:
        return None, [f"search has no price here: what the runs like {best.version.reference} computed is unpriced."]
    return Tried([one.error for one in same], cost), []


def _kept(attempt: Attempt) -> str:
    """What is not searched: data, architecture, loss, how long it is trained."""
    recipe = attempt.version.manifest.lineage.recipe or {}
    training = {name: value for name, value in recipe["training"].items() if name not in _SEARCHED_OF_TRAINING}
    data = {name: value for name, value in recipe["data"].items() if name not in _SHARES}
    kept = {name: value for name, value in recipe.items() if name not in _SEARCHED}
    kept |= {"data": data, "training": training, "inputs": [round(attempt.inputs[name], 6) for name in OF_COMPUTE]}
    return json.dumps([kept, *attempt.version.manifest.lineage.datasets], sort_keys=True)
