"""Whether a model computes over rows, in pieces and beside others, what it computes as it was written.

A family may keep more between tokens than keys and values (the states of linear attention, convolutions), or read by
rules that nobody tells its attention: then it is refused, since its answers would be wrong and look right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.transformers.rows import Rows
from gristmill.frameworks.transformers.step import OWN_ATTENTION, Piece, Run, Step

_TOKENS = 24
_KNOWN_LAYERS = {"full_attention", "sliding_attention"}
_OFF = 0.1  # of the logits' spread; bfloat16 came to 0.014 and 0.026, what lacked a state to 0.28 and more

Logits = Callable[[list[int], list[int], Step, list[int]], np.ndarray]  # tokens, positions, step, places wanted


class Proof:
    def __init__(self, model: Any, context_length: int) -> None:
        """Computes with the untouched model. Raises Unprocessable on layers that read by rules of their own."""
        config = model.config.get_text_config()
        if set(getattr(config, "layer_types", None) or ()) - _KNOWN_LAYERS:
            raise Unprocessable(OWN_ATTENTION, field="architectures")
        self._tokens = [(7 * place + 3) % config.vocab_size for place in range(min(_TOKENS, context_length))]
        model.set_attn_implementation("eager")  # PyTorch's fused kernel leaves out what some families add to scores
        with torch.inference_mode():
            given = model(torch.tensor([self._tokens], device=model.device), use_cache=False).logits[0]
        self._own = given.float().cpu().numpy()

    def check(self, logits: Logits, rows: Rows) -> None:
        """A piece, a run of guesses, the rest; another sequence beside. Raises Unprocessable."""
        count, other = len(self._tokens), self._tokens[::-1]
        first, second = count // 3, 2 * count // 3
        rows.reserve(count, 0)
        begun = logits(self._tokens[:first] + other[:5], [*range(first), *range(5)],
                       Step(rows, (), (Piece(0, 0, first), Piece(1, 0, 5))), [*range(first)])  # fmt: skip
        gone_on = logits([*self._tokens[first:second], other[5]], [*range(first, second), 5],
                         Step(rows, (Run(first, second - first), Run(5)), ()), [*range(second - first)])  # fmt: skip
        ended = logits([other[6], *self._tokens[second:]], [6, *range(second, count)],
                       Step(rows, (), (Piece(1, 6, 1), Piece(0, second, count - second))),
                       [*range(1, count - second + 1)])  # fmt: skip
        if not _agree(np.concatenate((begun, gone_on, ended)), self._own):
            raise Unprocessable(OWN_ATTENTION, field="architectures")


def _agree(found: np.ndarray, own: np.ndarray) -> bool:
    """Over all logits [tokens, vocabulary]; what is added to all of a token's is nothing, what is no number is off."""
    found, own = (one - one.mean(axis=1, keepdims=True) for one in (found, own))
    return bool(np.linalg.norm(found - own) <= _OFF * np.linalg.norm(own))
