"""Explain generated text: what each token of an answer owes to each piece of its prompt."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.explanation.document import Explanation
from gristmill.explanation.faithfulness import areas
from gristmill.explanation.options import check_names, whole
from gristmill.explanation.prompt_units import Decode, PromptUnits, prompt_units

OCCLUSION, GRADIENTS = "occlusion", "integrated-gradients"
METHODS = (OCCLUSION, GRADIENTS)
_RANDOM_ORDERS = 2
_SEED = 20160824  # any: the reference orders are the same for every explanation, so that figures compare


class Along(NamedTuple):
    """Asked of a runtime that differentiates: what tokens of the answer owe to those of the prompt, by integrated
    gradients on the way from the embedding of `nothing` at every token that `moves` to their own."""

    prompt: Sequence[int]
    moves: Sequence[bool]
    nothing: int
    answer: Sequence[int]
    chosen: Sequence[int]  # which tokens of the answer
    steps: int


Scoring = Generator[list[list[int]] | Along, list[np.ndarray], Explanation]


class GeneratedText(NamedTuple):
    """`said`: of each token of the prompt, whether it may be taken away. `nothing`: a token that stands for an empty
    prompt. `name`: the text of one token, special ones too."""

    prompt: Sequence[int]
    said: Sequence[bool]
    answer: Sequence[int]
    decode: Decode
    name: Callable[[int], str]
    nothing: int


def explain_text(subject: GeneratedText, method: str, target: int | None, options: Mapping[str, Any]) -> Scoring:
    """By erasure (Li, Monroe, Jurafsky 2016, "Understanding Neural Networks through Representation Erasure"), or by
    integrated gradients (Sundararajan, Taly, Yan, ICML 2017).

    Yields prompts, and is sent for each the natural log probabilities float64 [answer tokens] that the answer has after
    it; or yields an Along, and is sent float64 [chosen, prompt tokens] and the convergence errors [chosen].
    `values[t][i]` is how much log probability token t of the answer owes to unit i of the prompt. Options: `units`, at
    most so many (64); `points`, steps of the faithfulness curves (8), whose score is the answer's probability a token,
    the geometric mean; of integrated gradients `steps`, points of the integral (16). `target` None explains every token
    of the answer. Raises Unprocessable.
    """
    check_names(options, ("units", "points", *(("steps",) if method == GRADIENTS else ())))
    most, points = whole(options, "units", 64, 2, 512), whole(options, "points", 8, 2, 64)
    steps = whole(options, "steps", 16, 2, 256)
    chosen = _chosen(subject, target)
    units = prompt_units(subject.prompt, subject.said, subject.decode, subject.nothing, most)
    if not units.spans:
        raise Unprocessable(
            "The prompt has nothing but special tokens: there is nothing to explain by.", field="inputs"
        )
    if method == GRADIENTS:
        full, values, delta = yield from _by_gradients(subject, units, chosen, steps)
    else:
        full, values = yield from _by_erasure(units, chosen)
        delta = None
    fraction, masks = _orders(values.sum(axis=0), points)
    scored = yield [units.without(lost) for lost in masks]
    curves = np.exp(np.stack(scored)[:, chosen].mean(axis=1)).reshape(2, 1 + _RANDOM_ORDERS, len(fraction))
    found = _document(subject, units, chosen, full, values, areas(fraction, curves[0], curves[1]))
    return msgspec.structs.replace(found, method=method, delta=delta)


_Found = Generator[list[list[int]] | Along, list[np.ndarray], Any]


def _by_erasure(units: PromptUnits, chosen: list[int]) -> _Found:
    """The answer's log probabilities, and what each token of it loses without each unit."""
    none = np.zeros(len(units.spans), bool)
    full, *lacking = yield [units.without(none), *(units.without(row) for row in np.eye(len(units.spans), dtype=bool))]
    return full, (full[None] - np.stack(lacking))[:, chosen].T


def _by_gradients(subject: GeneratedText, units: PromptUnits, chosen: list[int], steps: int) -> _Found:
    """The same, each unit the sum of its tokens; and the largest convergence error."""
    (full,) = yield [list(subject.prompt)]
    moves = np.zeros(len(subject.prompt), bool)
    for start, stop in units.spans:
        moves[start:stop] = True
    along = Along(subject.prompt, moves.tolist(), subject.nothing, subject.answer, chosen, steps)
    by_token, deltas = yield along
    values = np.stack([by_token[:, start:stop].sum(axis=1) for start, stop in units.spans], axis=1)
    return full, values, float(np.abs(deltas).max())


def _chosen(subject: GeneratedText, target: int | None) -> list[int]:
    count = len(subject.answer)
    if target is None:
        return list(range(count))
    if not 0 <= target < count:
        raise Unprocessable(f"`target` is {target}, and the answer has tokens 0 to {count - 1}.",
                            field="target", expected=f"0 to {count - 1}", got=target)  # fmt: skip
    return [target]


def _orders(strength: np.ndarray, points: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Fractions of the units, and for deletion, then insertion, by each order: which units are lost at each of them."""
    count = len(strength)
    places = np.unique(np.round(np.linspace(0, count, min(points, count) + 1)).astype(int))
    generator = np.random.default_rng(_SEED)
    orders = [np.argsort(-strength, kind="stable"), *(generator.permutation(count) for _ in range(_RANDOM_ORDERS))]
    ranks = [np.argsort(order) for order in orders]
    deleted = [rank < place for rank in ranks for place in places]
    return places / count, [*deleted, *(~lost for lost in deleted)]


def _document(
    subject: GeneratedText,
    units: PromptUnits,
    chosen: list[int],
    full: np.ndarray,
    values: np.ndarray,
    faithful: Any,
) -> Explanation:
    return Explanation(
        method=OCCLUSION,
        target=chosen[0] if len(chosen) == 1 else None,
        label=subject.decode(list(subject.answer)),
        score=float(full[chosen].sum()),
        values=np.round(values, 6).tolist(),
        names=units.names,
        outputs=[subject.name(subject.answer[place]) for place in chosen],
        output_scores=[round(float(full[place]), 6) for place in chosen],
        delta=None,
        deletion_auc=faithful.deletion,
        insertion_auc=faithful.insertion,
        random_deletion_auc=faithful.random_deletion,
        random_insertion_auc=faithful.random_insertion,
        curves=faithful.curves,
    )
