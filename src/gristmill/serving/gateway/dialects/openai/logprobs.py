"""Log probabilities in OpenAI's two shapes."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any

from gristmill.core.generation import TokenLogprob


def of_chat(logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    content = [_told(one) | {"top_logprobs": [_told(other) for other in one.top]} for one in logprobs]
    return {"content": content, "refusal": None}


def _told(one: TokenLogprob) -> dict[str, Any]:
    return {"token": one.token, "logprob": one.logprob, "bytes": list(one.data)}


def of_completion(logprobs: Sequence[TokenLogprob], start: int) -> dict[str, Any]:
    """`start`: characters of the text before the first of these tokens."""
    offsets = []
    for one in logprobs:
        offsets.append(start)
        start += len(one.token)
    return {
        "tokens": [one.token for one in logprobs],
        "token_logprobs": [None if isnan(one.logprob) else one.logprob for one in logprobs],
        "top_logprobs": [None if isnan(one.logprob) else {other.token: other.logprob for other in one.top}
                         for one in logprobs],
        "text_offset": offsets,
    }  # fmt: skip
