"""An explanation as it is answered: what mattered how much, and how faithful that is."""

from __future__ import annotations

from typing import Any

import msgspec


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row explained. JSON-able: no NaN.

    `values`: nested list; [F] by feature, [H][W] by pixel, [T] by token, [window · S] by step and series, which `names`
    name. `delta`: convergence error
    of integrated gradients. The AUCs are of the target's score as the units that matter most are taken away first
    (`deletion`: lower is better) or put back first (`insertion`: higher is better); the `random_` ones say what an
    order by chance gives. For regression the score is measured from the baseline (0) to the prediction (1). None
    where the prediction does not differ from the baseline's. `curves`: `fraction` and the score along each order.

    Of generated text `values` is [answer tokens][units of the prompt], which `outputs` and `names` name;
    `output_scores` are natural log probabilities and `score` their sum; `target` None: of the whole answer.
    """

    method: str
    target: int | None
    label: str | None
    score: float
    values: list[Any]
    names: list[str] | None
    delta: float | None
    deletion_auc: float | None
    insertion_auc: float | None
    random_deletion_auc: float | None
    random_insertion_auc: float | None
    curves: dict[str, list[float]]
    outputs: list[str] | None = None
    output_scores: list[float] | None = None
