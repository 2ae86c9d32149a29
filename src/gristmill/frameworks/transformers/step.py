"""What one forward pass computes, and attention over rows: no padding, one forward pass for all.

The tokens of a step lie one after the other, whatever sequence they belong to; only attention knows which is whose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gristmill.frameworks.transformers.rotation import Rotation
from gristmill.frameworks.transformers.rows import Rows

NAME = "gristmill_rows"  # of the attention in Transformers' register


class Piece(NamedTuple):
    """`tokens` of a prompt that come at `start` of a row."""

    row: int
    start: int
    tokens: int

    @property
    def stop(self) -> int:
        return self.start + self.tokens


class Step:
    """One token for each of the first rows, then pieces of prompts.

    Masks and rotations are made once a step, not once a layer.
    """

    def __init__(self, rows: Rows, lengths: Sequence[int], pieces: Sequence[Piece]) -> None:
        """`lengths`: tokens held by each of the first rows, which get one more."""
        self._rows, self._lengths, self._pieces = rows, lengths, pieces
        places = [row * rows.capacity + length for row, length in enumerate(lengths)]
        for piece in pieces:
            places += range(piece.row * rows.capacity + piece.start, piece.row * rows.capacity + piece.stop)
        self._places = torch.tensor(places, device=rows.device)
        self._longest = max(lengths, default=0) + 1
        self._decode_masks: dict[int | None, Tensor | None] = {}  # by window
        self._piece_masks: dict[tuple[Piece, int | None], Tensor | None] = {}
        self._rotations: list[Rotation] = []

    def rotation(self, cos: Tensor, sin: Tensor) -> Rotation:
        """Of the model's tables for this step's tokens, which it gives to every layer."""
        for known in self._rotations:
            if known.cos is cos:
                return known
        self._rotations.append(Rotation(cos, sin))
        return self._rotations[-1]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None) -> Tensor:
        """[tokens, heads, width] each → [tokens, heads, width]. Stores `key` and `value` too."""
        stored = self._rows.store(layer, self._places, key, value)
        decoding = len(self._lengths)
        if not self._pieces:
            return self._decode(query, stored, scale, window)
        parts = [self._decode(query[:decoding], stored, scale, window)] if decoding else []
        at = decoding
        for piece in self._pieces:
            parts.append(self._prefill(piece, query[at : at + piece.tokens], stored, scale, window))
            at += piece.tokens
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _decode(self, query: Tensor, stored: tuple[Tensor, Tensor], scale: float, window: int | None) -> Tensor:
        """One query a row: the query heads that share a key head stand as its queries, so that no key is repeated."""
        rows, heads, width = query.shape
        keys, values = (one[:rows, : self._longest].transpose(1, 2) for one in stored)
        grouped = query.view(rows, keys.shape[1], -1, width)
        if window not in self._decode_masks:
            self._decode_masks[window] = self._decode_mask(window, query)
        seen = scaled_dot_product_attention(grouped, keys, values, attn_mask=self._decode_masks[window], scale=scale)
        return seen.reshape(rows, heads, -1)

    def _decode_mask(self, window: int | None, query: Tensor) -> Tensor | None:
        """[decoding, 1, 1, longest], 0 or -inf; None where every row is as long as the longest."""
        held = torch.tensor(self._lengths, device=query.device)[:, None]
        reached = torch.arange(self._longest, device=query.device)
        seen = reached <= held if window is None else (reached <= held) & (reached > held - window)
        if seen.all():
            return None
        return query.new_zeros(seen.shape).masked_fill_(~seen, float("-inf"))[:, None, None]

    def _prefill(
        self, piece: Piece, query: Tensor, stored: tuple[Tensor, Tensor], scale: float, window: int | None
    ) -> Tensor:
        keys, values = (one[piece.row, : piece.stop].transpose(0, 1)[None] for one in stored)
        if (piece, window) not in self._piece_masks:
            self._piece_masks[piece, window] = _piece_mask(piece, window, query.device)
        mask = self._piece_masks[piece, window]
        seen = scaled_dot_product_attention(
            query.transpose(0, 1)[None], keys, values, attn_mask=mask, is_causal=mask is None, scale=scale,
            enable_gqa=True,
        )  # fmt: skip
        return seen[0].transpose(0, 1)


def _piece_mask(piece: Piece, window: int | None, device: torch.device) -> Tensor | None:
    """bool [tokens, stop]; None where the piece is a whole beginning: attention is causal then."""
    if not piece.start and window is None:
        return None
    at = torch.arange(piece.start, piece.stop, device=device)[:, None]
    reached = torch.arange(piece.stop, device=device)[None, :]
    return reached <= at if window is None else (reached <= at) & (reached > at - window)


def attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **told: Any
) -> tuple[Tensor, None]:
    """As Transformers' register has it: [1, heads, tokens, width] → [1, tokens, heads, width]."""
    step: Step = told["step"]
    query, key, value = (one[0].transpose(0, 1) for one in (query, key, value))
    seen = step.attend(module.layer_idx, query, key, value, told["scaling"], told.get("sliding_window"))
    return seen[None], None
