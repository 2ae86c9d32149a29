"""A paired test between two versions on the same rows, and the sentence that it comes to."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gristmill.lab.blocks import by_block
from gristmill.lab.statistics import Resampled, bootstrap, mcnemar, paired_permutation, percentile

SIGNIFICANT = 0.05


class Paired(NamedTuple):
    """Subject first, rival second. `losses` by row; `classes`: they are 0 or 1, right or wrong.

    Of rows that hang together whole blocks are drawn, and change sides.
    """

    names: tuple[str, str]
    metric: str
    higher_is_better: bool
    values: tuple[float, float]
    resampled: tuple[Resampled, Resampled]
    losses: tuple[np.ndarray, np.ndarray]
    classes: bool
    error: str = "squared errors"  # what the losses are
    block: int = 1  # rows that hang together


def compare(paired: Paired, rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """The verdict, and its figures: the difference of the primary metric with its interval, and the test's p."""
    subject, rival = paired.resampled
    difference_of = {"difference": lambda weights: subject(weights) - rival(weights)}
    both = bootstrap(difference_of, len(paired.losses[0]), rng, block=paired.block)
    difference = percentile(paired.values[0] - paired.values[1], both["difference"])
    p, test = _mcnemar(paired) if paired.classes else _permutation(paired, rng)
    figures = {
        "version": paired.names[1],
        "metric": paired.metric,
        "difference": {name: round(value, 6) for name, value in difference._asdict().items()},
        "p": p,
        **test,
    }
    span = f"{paired.metric} {difference.value:+.3g} [{difference.low:.3g}, {difference.high:.3g}], p = {p:.2g}"
    if p >= SIGNIFICANT:
        return f"{paired.names[0]} and {paired.names[1]} cannot be told apart: {span}", figures
    better = (difference.value > 0) == paired.higher_is_better
    return f"{paired.names[0]} is {'better' if better else 'worse'} than {paired.names[1]}: {span}", figures


def _mcnemar(paired: Paired) -> tuple[float, dict[str, Any]]:
    wrong, rival_wrong = (losses > 0 for losses in paired.losses)
    only_subject, only_rival = int((~wrong & rival_wrong).sum()), int((wrong & ~rival_wrong).sum())
    counts = {"only_subject_right": only_subject, "only_rival_right": only_rival}
    return mcnemar(only_subject, only_rival), {"test": "exact McNemar", **counts}


def _permutation(paired: Paired, rng: np.random.Generator) -> tuple[float, dict[str, Any]]:
    p = paired_permutation(by_block(paired.losses[0] - paired.losses[1], paired.block), rng)
    blocks = f" of blocks of {paired.block} windows" if paired.block > 1 else ""
    return p, {"test": f"paired permutation of {paired.error}{blocks}, 4,999 flips"}
