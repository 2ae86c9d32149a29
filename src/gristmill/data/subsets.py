"""Subsets of rows for learning curves: each holds the smaller ones, and each class in its share."""

from __future__ import annotations

import numpy as np

_SEED = 0  # one for all runs, so that their subsets nest whatever the training's own seed


def nested_order(rows: int, strata: np.ndarray | None) -> np.ndarray:
    """A permutation of `rows` row numbers, any prefix of which is spread over `strata` [rows] as all rows are."""
    random = np.random.default_rng(_SEED)
    if strata is None:
        return random.permutation(rows)
    place = np.empty(rows)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        place[random.permutation(members)] = (np.arange(len(members)) + random.random()) / len(members)
    return np.argsort(place, kind="stable")
