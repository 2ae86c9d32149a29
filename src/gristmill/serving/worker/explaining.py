"""The version as an explainer's subject, and its explanations as one JSON document."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.explanation.explain import Explanation, explain, render_html, render_png
from gristmill.explanation.protocol import Subject
from gristmill.frameworks.protocol import Differentiable
from gristmill.serving.worker.turns import Take
from gristmill.serving.worker.version import Version
from gristmill.tasks.protocol import Tensors

_RENDERED = {"png": render_png, "html": render_html}
_OWN = ("method", "target", "render")  # what is not the explainer's own option


def subject(version: Version, take: Take) -> Subject:
    """Scores are the task's own outputs (probabilities, or values), whatever the runtime gives; a turn a call."""
    signature = version.manifest.signature
    (first, *_) = signature.outputs

    def predict(model_inputs: Tensors) -> np.ndarray:
        output = take(lambda: version.runtime.infer(model_inputs))
        scores = version.task.outputs(output, signature)[first.name]
        return scores.reshape(len(scores), -1) if signature.scores == "values" else scores

    runtime = version.runtime
    if not isinstance(runtime, Differentiable):
        return Subject(signature, version.preprocessing, predict, None)
    attribute = runtime.integrated_gradients

    def gradients(*given: Any) -> tuple[Tensors, np.ndarray]:
        found: tuple[Tensors, np.ndarray] = take(lambda: attribute(*given))
        return found

    return Subject(signature, version.preprocessing, predict, gradients)


def explanations(version: Version, raw: Tensors, parameters: dict[str, Any], take: Take) -> list[dict[str, Any]]:
    """One document a row. Raises Unprocessable for an unknown method, target or picture."""
    picture = picture_of(parameters)
    found = _explained(subject(version, take), raw, parameters)
    rows = [{name: values[row] for name, values in raw.items()} for row in range(len(found))]
    return [document(one, row, picture) for one, row in zip(found, rows, strict=True)]


def _explained(about: Subject, raw: Tensors, parameters: dict[str, Any]) -> list[Explanation]:
    """By the method that is asked for, or by gradients where the version has them, else by occlusion."""
    options = {name: value for name, value in parameters.items() if name not in _OWN}
    asked, target = parameters.get("method"), target_of(parameters)
    if asked or about.gradients is None:
        return explain(about, raw, method=str(asked or "occlusion"), target=target, options=options)
    try:
        return explain(about, raw, method="integrated-gradients", target=target, options=options)
    except Unprocessable as error:
        if error.details.get("field") != "method":  # of a runtime that finds nothing to differentiate at in this model
            raise
        return explain(about, raw, method="occlusion", target=target, options=options)


def picture_of(parameters: dict[str, Any]) -> str | None:
    """Raises Unprocessable."""
    picture = parameters.get("render")
    if picture is None or picture in _RENDERED:
        return picture
    raise Unprocessable(f"Pictures are {', '.join(_RENDERED)}: got {picture!r}.", field="render", got=picture)


def target_of(parameters: dict[str, Any]) -> int | None:
    """Raises Unprocessable."""
    target = parameters.get("target")
    if target is None or (isinstance(target, int) and not isinstance(target, bool)):
        return target
    raise Unprocessable("`target` is the number of an output.", field="target", expected="integer", got=target)


def document(explanation: Explanation, raw: Tensors, picture: str | None) -> dict[str, Any]:
    """As it is answered; `raw`: the explained row's tensors, without batch."""
    told: dict[str, Any] = msgspec.to_builtins(explanation)
    if picture is not None:
        drawn = _RENDERED[picture](explanation, raw)
        told["picture"] = base64.b64encode(drawn).decode() if isinstance(drawn, bytes) else drawn
    return told
