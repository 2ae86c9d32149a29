"""Versions as a forecast sees them: what went into each (rows, parameters, passes, people) and the error left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gristmill.books.reports.scope import Quality
from gristmill.core.forecasting import PEOPLE
from gristmill.registry.versions import Version


class Attempt(NamedTuple):
    """A version: what went into it (rows, parameters, passes, people) and the error that is left."""

    version: Version
    inputs: dict[str, float]
    error: float


def attempts(made: Sequence[Version], tested: Sequence[Quality], hours: Mapping[str, float]) -> list[Attempt]:
    """A version without an error left (a perfect score) says nothing to a power law and is left out."""
    by_version = {one.version: one for one in tested}
    found = []
    for version in made:
        quality, rows = by_version.get(version.reference), version.metrics.get("train/rows")
        recipe = version.manifest.lineage.recipe
        if quality is None or not rows or recipe is None:
            continue
        training = recipe["training"]
        steps_a_pass = math.ceil(rows / (training["batch_size"] * training.get("accumulate", 1)))
        passes = version.metrics["train/steps"] / steps_a_pass
        error = error_of(quality)
        inputs = {"rows": rows, "parameters": float(version.manifest.parameters), "passes": passes,
                  PEOPLE: hours.get(version.reference, 0.0)}  # fmt: skip
        if error > 0 and inputs["parameters"] > 0 and passes > 0:
            found.append(Attempt(version, inputs, error))
    return found


def error_of(quality: Quality) -> float:
    """What is left of a metric that ends at 1, or the metric itself where lower is better."""
    return 1 - quality.value if quality.higher_is_better else quality.value
