"""Integrated gradients (Sundararajan, Taly, Yan, ICML 2017): the gradient along the way from the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.explanation.options import check_names, whole
from gristmill.explanation.protocol import Attribution, Subject
from gristmill.explanation.units import targets_of
from gristmill.tasks.protocol import Tensors


class IntegratedGradients:
    """Option `steps`: points of the integral, 64 where not given. The runtime of the version does the gradients."""

    def explain(
        self, subject: Subject, inputs: Tensors, target: int | None, options: Mapping[str, Any]
    ) -> list[Attribution]:
        check_names(options, ("steps",))
        steps = whole(options, "steps", 64, 2, 1024)
        if subject.gradients is None:
            raise Unprocessable(
                "This version's runtime has no gradients: ask for method occlusion, which needs predictions only.",
                field="method", got="integrated-gradients",
            )  # fmt: skip
        model_inputs = subject.preprocessing.apply(inputs)
        scores = subject.predict(model_inputs)
        targets = targets_of(subject, scores, target)
        baselines = subject.preprocessing.baseline(inputs)
        found, deltas = subject.gradients(model_inputs, baselines, targets, steps)
        values, tokens = subject.preprocessing.attribute_back(found, inputs)
        return [
            Attribution(
                "integrated-gradients",
                int(targets[row]),
                float(scores[row, targets[row]]),
                _row(values[row], tokens, row),
                tokens[row] if tokens else subject.signature.features,
                float(deltas[row]),
            )
            for row in range(len(values))
        ]


def _row(values: np.ndarray, tokens: list[tuple[str, ...]] | None, row: int) -> np.ndarray:
    """Without what pads a shorter text."""
    return (values if tokens is None else values[: len(tokens[row])]).astype(np.float32)
