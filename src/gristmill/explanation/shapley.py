"""Shapley values of a row's units: what each adds to the score, over the orders in which they may come.

The game is the baseline one (Sundararajan, Najmi, "The many Shapley values", ICML 2020): a coalition's worth is the
score when only its units are kept. Exact by enumeration for few units (Shapley 1953); else orders drawn at random, each
walked forwards and backwards (Castro, Gomez, Tejada 2009; antithetic: Mitchell, Cooper, Frank, Holmes, JMLR 2022, 4.1).
Either way the values of a row sum to its score less the baseline's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.explanation.options import check_names, whole
from gristmill.explanation.protocol import Attribution, Subject
from gristmill.explanation.units import Units, scores_of, targets_of, units_of
from gristmill.tasks.protocol import Tensors

_EXACT = 10  # players: 1,024 coalitions, about what the drawn orders of a picture take
_PERMUTATIONS = 8
_MOST_PREDICTIONS = 32768  # that an explanation of one row may take
_ROWS_AT_ONCE = 256  # copies of a row in memory: a picture of 224 x 224 takes 600 kB
_SEED = 19530101  # any: the same request gives the same values

Worth = Callable[[np.ndarray], np.ndarray]


class Shapley:
    """Needs predictions only. Options: `permutations`, drawn and walked both ways; for images and histories `window`
    (pixels or steps)."""

    def explain(
        self, subject: Subject, inputs: Tensors, target: int | None, options: Mapping[str, Any]
    ) -> list[Attribution]:
        units = units_of(subject, inputs)
        grouped = units.tensor == "image" or units.grid is not None
        check_names(options, ("permutations", "window") if grouped else ("permutations",))
        scores = subject.predict({units.tensor: units.inputs})
        targets = targets_of(subject, scores, target)
        rows = range(len(scores))
        return [_explain_row(subject, units, row, scores[row], int(targets[row]), options) for row in rows]


def exact(worth: Worth, players: int) -> np.ndarray:
    """Shapley values [P] by enumeration; `worth`: coalitions bool [M, P] → [M]."""
    coalitions = (np.arange(2**players)[:, None] >> np.arange(players)) % 2 == 1
    value, sizes = worth(coalitions), coalitions.sum(axis=1)
    values = np.empty(players)
    for player in range(players):
        without = np.flatnonzero(~coalitions[:, player])
        weights = [1 / (players * math.comb(players - 1, int(size))) for size in sizes[without]]
        values[player] = weights @ (value[without + 2**player] - value[without])
    return values


def sampled(worth: Worth, players: int, permutations: int) -> np.ndarray:
    """Shapley values [P] estimated without bias from `permutations` drawn orders and their reverses."""
    generator = np.random.default_rng(_SEED)
    values = np.zeros(players)
    for _ in range(permutations):
        drawn = generator.permutation(players)
        for order in (drawn, drawn[::-1]):
            place = np.argsort(order)
            values[order] += np.diff(worth(place[None] < np.arange(players + 1)[:, None]))
    return values / (2 * permutations)


def _explain_row(
    subject: Subject, units: Units, row: int, scores: np.ndarray, target: int, options: Mapping[str, Any]
) -> Attribution:
    owner, players = _players(units, row, options)

    def worth(coalitions: np.ndarray) -> np.ndarray:
        # a last player that is never lost: the places of a text after its last token
        lost = np.concatenate([~coalitions, np.zeros((len(coalitions), 1), bool)], axis=1)
        parts = (lost[start : start + _ROWS_AT_ONCE][:, owner] for start in range(0, len(lost), _ROWS_AT_ONCE))
        return np.concatenate([scores_of(subject, units.tensor, units.without(row, part), target) for part in parts])

    if players <= _EXACT and "permutations" not in options:
        found = exact(worth, players)
    else:
        found = sampled(worth, players, _permutations(players, options))
    # a window's value is shared by its pixels, so that the sum stays what it is
    values = (np.append(found, 0) / np.maximum(1, np.bincount(owner.ravel(), minlength=players + 1)))[owner]
    if units.tensor == "tokens":
        values = values[:players]
    names = units.names[row] if units.names else None
    return Attribution("shapley", target, float(scores[target]), values.astype(np.float32), names, None)


def _players(units: Units, row: int, options: Mapping[str, Any]) -> tuple[np.ndarray, int]:
    """Which player each unit belongs to, int of the units' shape, and how many players there are."""
    if units.grid is not None:
        steps, series = units.grid
        length = whole(options, "window", max(1, round(steps / 7)), 1, steps)
        blocks = np.arange(steps) // length
        return (blocks[:, None] * series + np.arange(series)).reshape(-1), -(-steps // length) * series
    if units.tensor != "image":
        count = units.count(row)
        return np.minimum(np.arange(units.shape[0]), count), count
    height, width = units.shape
    side = whole(options, "window", max(1, round(min(units.shape) / 7)), 1, min(units.shape))
    across = -(-width // side)
    down, right = np.arange(height) // side, np.arange(width) // side
    return down[:, None] * across + right, -(-height // side) * across


def _permutations(players: int, options: Mapping[str, Any]) -> int:
    """Raises Unprocessable when one row would take more predictions than are allowed."""
    most = _MOST_PREDICTIONS // (2 * (players + 1))
    if most < 1:
        raise Unprocessable(
            f"{players} features or windows are too many for Shapley values: at most {_MOST_PREDICTIONS // 2 - 1} are "
            "taken, so ask for the method occlusion or, for an image, a larger window.",
            field="method", got="shapley",
        )  # fmt: skip
    return whole(options, "permutations", min(_PERMUTATIONS, most), 1, most)
