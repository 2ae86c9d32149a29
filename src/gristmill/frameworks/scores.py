"""How a model's output becomes what is explained."""

from __future__ import annotations

from gristmill.core.types import Signature


def scores_of(signature: Signature) -> str:
    """core/types.Scores of a classifier; `values` of what is answered as it comes: regressions, and bare tensors."""
    return signature.scores if signature.labels is not None else "values"
