"""Deletion and insertion (Petsiuk, Das, Saenko, "RISE", BMVC 2018): does the score follow what is said to matter?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gristmill.explanation.protocol import Subject
from gristmill.explanation.units import Units, scores_of

_RANDOM_ORDERS = 3
_SEED = 20180617  # any: the reference orders are the same for every explanation, so that figures compare


class Faithfulness(NamedTuple):
    """Areas in units of the target's score over the fraction of units, and the `curves` they come from."""

    deletion: float | None
    insertion: float | None
    random_deletion: float | None
    random_insertion: float | None
    curves: dict[str, list[float]]


def faithfulness(
    subject: Subject, units: Units, row: int, values: np.ndarray, target: int, *, points: int, relative: bool
) -> Faithfulness:
    """Take units away, and put them back, in the order of `values` and in random orders; `points` steps a curve.

    What is taken away becomes the baseline in both directions (RISE inserts into a blurred image; a table has no blur).
    With `relative` (regression) scores are measured from the baseline's (0) to the prediction's (1).
    """
    count = units.count(row)
    if count == 0:
        return Faithfulness(None, None, None, None, {})
    places = np.unique(np.round(np.linspace(0, count, min(points, count) + 1)).astype(int))
    both = scores_of(subject, units.tensor, units.without(row, _masks(units, np.arange(count), [0, count])), target)
    full, empty = float(both[0]), float(both[1])
    if relative and abs(full - empty) < 1e-9 * max(1.0, abs(full)):
        return Faithfulness(None, None, None, None, {})
    # evidence that lowers a regression's value is evidence all the same
    falling = np.argsort(-values.reshape(-1)[:count] * (np.sign(full - empty) if relative else 1), kind="stable")
    generator = np.random.default_rng(_SEED)
    orders = [falling, *(generator.permutation(count) for _ in range(_RANDOM_ORDERS))]
    masks = [_masks(units, order, places) for order in orders] + [~_masks(units, order, places) for order in orders]
    rows = units.without(row, np.concatenate(masks))
    curves = scores_of(subject, units.tensor, rows, target).reshape(2, len(orders), len(places))
    if relative:
        curves = (curves - empty) / (full - empty)
    deletion, insertion = curves[0], curves[1]
    return areas(places / count, deletion, insertion)


def _masks(units: Units, order: np.ndarray, places: np.ndarray | list[int]) -> np.ndarray:
    """bool [len(places), *shape]: the first `places[i]` units of `order` lost."""
    rank = np.full(int(np.prod(units.shape)), np.iinfo(np.int64).max)
    rank[order] = np.arange(len(order))
    return (rank[None] < np.asarray(places)[:, None]).reshape(-1, *units.shape)


def areas(fraction: np.ndarray, deletion: np.ndarray, insertion: np.ndarray) -> Faithfulness:
    """Under curves [orders, points]: the explanation's order first, then those by chance, which are averaged."""
    found = [np.trapezoid(curve, fraction, axis=1) for curve in (deletion, insertion)]
    curves = {
        "fraction": fraction,
        "deletion": deletion[0],
        "insertion": insertion[0],
        "random_deletion": deletion[1:].mean(axis=0),
        "random_insertion": insertion[1:].mean(axis=0),
    }
    return Faithfulness(
        float(found[0][0]), float(found[1][0]), float(found[0][1:].mean()), float(found[1][1:].mean()),
        {name: [round(float(value), 6) for value in curve] for name, curve in curves.items()},
    )  # fmt: skip
