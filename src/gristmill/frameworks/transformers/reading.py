"""How queries read keys and values: plain products, so that what a family adds to its scores finds its place.

PyTorch's fused kernel knows none of that, and on a CPU it makes a small product of its own for each row and head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Scores(NamedTuple):
    """What a layer makes of the products of its queries and keys."""

    scale: float
    window: int | None = None  # tokens that are read, the latest; None: all
    cap: float | None = None  # they approach it and go no further: Gemma 2's
    sinks: Tensor | None = None  # [heads]: the score of a token that has no value, gpt-oss's

    @property
    def plain(self) -> bool:
        return self.cap is None and self.sinks is None


def read(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scores: Scores) -> Tensor:
    """`query` [rows, tokens, heads, width], `keys` [rows · shared, width, longest], `values` [rows · shared, longest,
    width of a value], `mask` [rows, 1, tokens, 1, longest] → [rows · tokens, heads, width of a value].

    The query heads that share a key head stand as its queries, so that no key is repeated.
    """
    rows, tokens, heads, width = query.shape
    shared, longest = len(keys) // rows, keys.shape[2]
    grouped = (query * scores.scale).view(rows, tokens, shared, -1, width).transpose(1, 2)
    found = torch.bmm(grouped.reshape(rows * shared, -1, width), keys).view(rows, shared, tokens, -1, longest)
    if scores.cap is not None:
        found = found.div_(scores.cap).tanh_().mul_(scores.cap)
    found += mask
    if scores.sinks is None:
        weights = found.softmax(-1)
    else:
        sinks = scores.sinks.to(found.dtype).view(1, shared, 1, -1, 1).expand(rows, -1, tokens, -1, -1)
        weights = torch.cat((found, sinks), -1).softmax(-1)[..., :-1]
    seen = torch.bmm(weights.reshape(rows * shared, -1, longest), values)
    return seen.view(rows, shared, tokens, -1, values.shape[2]).transpose(1, 2).reshape(rows * tokens, heads, -1)
