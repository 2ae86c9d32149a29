"""Explain rows of a version: an explainer's attributions, each with its faithfulness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gristmill.core import plugins
from gristmill.core.types import Signature
from gristmill.explanation.document import Explanation
from gristmill.explanation.faithfulness import faithfulness
from gristmill.explanation.options import whole
from gristmill.explanation.protocol import Attribution, Explainer, Subject
from gristmill.explanation.render import render_html, render_png
from gristmill.explanation.units import Units, units_of
from gristmill.tasks.protocol import Tensors

__all__ = ["Explanation", "explain", "render_html", "render_png"]

DEFAULT_POINTS = 32


def explain(
    subject: Subject,
    inputs: Tensors,
    *,
    method: str,
    target: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[Explanation]:
    """One explanation for each row of the raw `inputs`; `target` None explains the highest score.

    `options` are the method's own, and `points`: steps of the faithfulness curves. Raises Unprocessable for an unknown
    method, target or option.
    """
    explainer: Explainer = plugins.load("explainers", method)()
    chosen = dict(options or {})
    points = whole(chosen, "points", DEFAULT_POINTS, 2, 256)
    chosen.pop("points", None)
    units = units_of(subject, inputs)
    found = explainer.explain(subject, inputs, target, chosen)
    return [_explained(subject, units, row, one, points) for row, one in enumerate(found)]


def _forecast(signature: Signature, output: int) -> str | None:
    """`OT in 3 steps`: which of a forecast's values; of other numbers the target's name."""
    if signature.scores != "values":
        return signature.target
    several = signature.outputs[0].shape[2:]
    step, place = divmod(output, several[0]) if several else (output, 0)
    name = signature.target.split(",")[place] if several and signature.target else signature.target
    return f"{name or 'the forecast'} in {step + 1} {'step' if step == 0 else 'steps'}"


def _explained(subject: Subject, units: Units, row: int, found: Attribution, points: int) -> Explanation:
    labels = subject.signature.labels
    faithful = faithfulness(subject, units, row, found.values, found.target, points=points, relative=labels is None)
    return Explanation(
        method=found.method,
        target=found.target,
        label=labels[found.target] if labels else _forecast(subject.signature, found.target),
        score=found.score,
        values=found.values.tolist(),
        names=list(found.names) if found.names is not None else None,
        delta=found.delta,
        deletion_auc=faithful.deletion,
        insertion_auc=faithful.insertion,
        random_deletion_auc=faithful.random_deletion,
        random_insertion_auc=faithful.random_insertion,
        curves=faithful.curves,
    )
