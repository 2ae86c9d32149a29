"""Whether what is forecast is a loss: it falls with more of the inputs, where a quality rises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from gristmill.core.errors import Unprocessable

_RISES_WITH_EACH, _RISES_IN_ALL = 0.2, 0.7  # Spearman's correlations, and the root of the sum of their squares


def check_falls(inputs: Sequence[str], x: np.ndarray, y: str, values: np.ndarray) -> None:
    """`x` [n, inputs], `values` [n]. Raises Unprocessable where more of every input goes with more of `y`."""
    ranks = stats.rankdata(np.column_stack([x, values]), axis=0)
    spread = ranks.std(axis=0)
    if len(ranks) < 3 or not spread.all():
        return
    ranks = (ranks - ranks.mean(axis=0)) / spread
    together = ranks[:, :-1].T @ ranks[:, -1] / len(ranks)
    if together.min() > _RISES_WITH_EACH and np.linalg.norm(together) > _RISES_IN_ALL:
        raise Unprocessable(
            f"{y} rises with {' and '.join(inputs)}, and a forecast is of a loss, which falls: of a quality such as "
            f"accuracy ask for the error that is left, 1-{y}.", field="y",
        )  # fmt: skip
