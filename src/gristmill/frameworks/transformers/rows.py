"""Keys and values of many sequences, a row each, and attention over them: no padding, one forward pass for all.

The tokens of a step lie one after the other, whatever sequence they belong to; only attention knows which is whose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

NAME = "gristmill_rows"  # of the attention in Transformers' register
_FIRST_CAPACITY = 256


class Piece(NamedTuple):
    """`tokens` of a prompt that come at `start` of a row."""

    row: int
    start: int
    tokens: int

    @property
    def stop(self) -> int:
        return self.start + self.tokens


class Step(NamedTuple):
    """What one forward pass computes: one token for each of the first rows, then pieces of prompts."""

    rows: Rows
    lengths: Tensor  # int64 [decoding]: tokens that each row held before this step
    mask: Tensor  # bool [decoding, 1, 1, longest]
    pieces: Sequence[Piece]


class Rows:
    """Two tensors a layer, [rows, heads, capacity, width]; as sequences get longer, rows double and become fewer."""

    def __init__(self, most: int, memory_bytes: int, dtype: torch.dtype, device: torch.device) -> None:
        self.capacity = _FIRST_CAPACITY
        self._most, self._memory_bytes = most, memory_bytes
        self._dtype, self._device = dtype, device
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.count = most

    @property
    def bytes_a_token(self) -> int:
        """Known after the first forward pass; 0: the model's attention does not come here."""
        sizes = (one.shape[1] * one.shape[3] * one.element_size() for pair in self._layers.values() for one in pair)
        return sum(sizes)

    def fitting(self, tokens: int) -> int:
        """How many rows of so many tokens the memory holds; at least one."""
        return max(1, min(self._most, self._memory_bytes // (self.bytes_a_token * _doubled(self.capacity, tokens))))

    def reserve(self, tokens: int) -> None:
        """Make room for rows of so many tokens; the rows beyond `fitting` are lost."""
        if tokens <= self.capacity:
            return
        self.count = self.fitting(tokens)
        self.capacity = _doubled(self.capacity, tokens)
        self._layers = {
            layer: (self._grown(keys), self._grown(values)) for layer, (keys, values) in self._layers.items()
        }

    def _grown(self, stored: Tensor) -> Tensor:
        grown = self._new(stored)
        grown[:, :, : stored.shape[2]] = stored[: self.count]
        return grown

    def of(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's tensors, made when it is first computed; `keys` [1, heads, tokens, width] tells its sizes."""
        if layer not in self._layers:
            self._layers[layer] = (self._new(keys), self._new(values))
        return self._layers[layer]

    def _new(self, like: Tensor) -> Tensor:
        # zeros: what is masked is multiplied by zero, and a NaN of unset memory would survive that
        shape = (self.count, like.shape[1], self.capacity, like.shape[3])
        return torch.zeros(shape, dtype=self._dtype, device=self._device)

    def read(self, row: int, tokens: int) -> list[tuple[Tensor, Tensor]]:
        """A copy of the first `tokens` of a row, by layer."""
        return [
            (keys[row, :, :tokens].clone(), values[row, :, :tokens].clone()) for keys, values in self._layers.values()
        ]

    def write(self, row: int, copied: list[tuple[Tensor, Tensor]]) -> None:
        for (keys, values), (of_keys, of_values) in zip(self._layers.values(), copied, strict=True):
            keys[row, :, : of_keys.shape[1]] = of_keys
            values[row, :, : of_values.shape[1]] = of_values

    def swap(self, one: int, other: int, tokens: int) -> None:
        """Exchange the first `tokens` of two rows."""
        if one != other:
            first, second = self.read(one, tokens), self.read(other, tokens)
            self.write(one, second)
            self.write(other, first)


def _doubled(capacity: int, tokens: int) -> int:
    while capacity < tokens:
        capacity *= 2
    return capacity


def plan(rows: Rows, lengths: Sequence[int], pieces: Sequence[Piece]) -> Step:
    """`lengths`: tokens held by each of the first rows, which get one more."""
    held = torch.tensor(lengths, dtype=torch.int64)
    longest = max(lengths, default=0) + 1
    mask = (torch.arange(longest) <= held[:, None])[:, None, None, :]
    return Step(rows, held, mask, pieces)


def attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **told: Any
) -> tuple[Tensor, None]:
    """In Transformers' shapes: [1, heads, tokens, width] → [1, tokens, heads, width]. Stores `key` and `value` too."""
    step: Step = told["step"]
    scale: float = told["scaling"]
    window: int | None = told.get("sliding_window")
    keys, values = step.rows.of(module.layer_idx, key, value)
    parts = []
    decoding = len(step.lengths)
    if decoding:
        parts.append(_decode(step, query, key, value, (keys, values), scale, window))
    at = decoding
    for piece in step.pieces:
        mine = slice(at, at + piece.tokens)
        stored = slice(piece.start, piece.stop)
        keys[piece.row, :, stored], values[piece.row, :, stored] = key[0, :, mine], value[0, :, mine]
        parts.append(_prefill(piece, query[:, :, mine], (keys, values), scale, window))
        at += piece.tokens
    return (torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]), None


def _decode(
    step: Step,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    stored: tuple[Tensor, Tensor],
    scale: float,
    window: int | None,
) -> Tensor:
    """One query a row: the query heads that share a key head stand as its queries, so that no key is repeated."""
    keys, values = stored
    rows, longest = len(step.lengths), step.mask.shape[3]
    places = torch.arange(rows)
    keys[places, :, step.lengths] = key[0, :, :rows].transpose(0, 1)
    values[places, :, step.lengths] = value[0, :, :rows].transpose(0, 1)
    heads, shared = query.shape[1], keys.shape[1]
    grouped = query[0, :, :rows].transpose(0, 1).reshape(rows, shared, heads // shared, query.shape[3])
    mask = step.mask
    if window is not None:
        mask = mask & (torch.arange(longest) > (step.lengths - window)[:, None])[:, None, None, :]
    seen = scaled_dot_product_attention(
        grouped, keys[:rows, :, :longest], values[:rows, :, :longest], attn_mask=mask, scale=scale
    )
    return seen.reshape(1, rows, heads, -1)


def _prefill(piece: Piece, query: Tensor, stored: tuple[Tensor, Tensor], scale: float, window: int | None) -> Tensor:
    keys, values = (one[piece.row : piece.row + 1, :, : piece.stop] for one in stored)
    mask = None
    if piece.start or window is not None:
        at = torch.arange(piece.start, piece.stop)[:, None]
        reached = torch.arange(piece.stop)[None, :]
        mask = reached <= at if window is None else (reached <= at) & (reached > at - window)
    seen = scaled_dot_product_attention(
        query, keys, values, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=True
    )
    return seen.transpose(1, 2)
