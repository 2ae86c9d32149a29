"""Runs that would decide, as recipes: what can be asked for, and the nearest version's recipe changed to it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from gristmill.control.forecasts.attempts import Attempt
from gristmill.core.forecasting import PEOPLE

Document = dict[str, Any]
_ROWS, _PASSES = (0.125, 0.25, 0.5, 1.0), (0.5, 1.0, 2.0)  # of a planned run, over the most and the best so far


def candidates(attempts: Sequence[Attempt], names: Sequence[str]) -> list[list[float]]:
    """Runs that a recipe can ask for: shares of the rows, sizes that were built, more or fewer passes."""
    best = min(attempts, key=lambda one: one.error).inputs
    most = max(one.inputs["rows"] for one in attempts)
    choices = {
        "rows": sorted({max(1.0, round(share * most)) for share in _ROWS}),
        "parameters": sorted({one.inputs["parameters"] for one in attempts}),
        "passes": sorted({max(1.0, round(share * best["passes"])) for share in _PASSES}),
        PEOPLE: [best[PEOPLE]],
    }
    return [list(row) for row in product(*(choices[name] for name in names))]


def planned(attempts: Sequence[Attempt], plan: Document) -> Document:
    """The plan with a recipe for each run, and a seed for each that no earlier run had."""
    runs = enumerate(plan["runs"], 1 + _most_seed(attempts))
    return plan | {"runs": [run | {"recipe": _recipe(attempts, run["x"], seed)} for seed, run in runs]}


def _most_seed(attempts: Sequence[Attempt]) -> int:
    recipes = (one.version.manifest.lineage.recipe or {} for one in attempts)
    return max(int(recipe["training"]["seed"]) for recipe in recipes)


def _recipe(attempts: Sequence[Attempt], x: dict[str, float], seed: int) -> Document:
    """Of the version of the nearest size, with the planned rows and passes; a new seed makes it a new run."""
    size = x.get("parameters")
    nearest = min(attempts, key=lambda one: abs(one.inputs["parameters"] - size) if size else one.error)
    recipe: Document = dict(nearest.version.manifest.lineage.recipe or {})
    if "rows" in x:
        recipe["data"] = recipe["data"] | {"rows": max(1, round(x["rows"])), "fraction": None}
    recipe["training"] = recipe["training"] | {"seed": seed}
    if "passes" in x:
        recipe["training"] = recipe["training"] | {"epochs": max(1, round(x["passes"]))}
    return recipe
