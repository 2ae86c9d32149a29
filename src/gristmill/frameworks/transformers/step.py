"""What one forward pass computes, and attention over rows: no padding, one forward pass for all.

The tokens of a step lie one after the other, whatever sequence they belong to; only attention knows which is whose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.transformers.reading import Scores, read
from gristmill.frameworks.transformers.rotation import Rotation
from gristmill.frameworks.transformers.rows import Places, Rows, evened

NAME = "gristmill_rows"  # of the attention in Transformers' register
OWN_ATTENTION = (
    "This architecture brings its own attention, or keeps more between tokens than keys and values, which continuous "
    "batching cannot replace: try the runtime vllm."
)
_OTHERS = ("indices", "block_indices", "sinks", "position_bias")  # that are told to attention beside Scores' own
_WORTH_COPYING = 1.5  # a product copies rows of which it needs the beginning: sooner done than one over all of them


class Piece(NamedTuple):
    """`tokens` of a prompt that come at `start` of a row."""

    row: int
    start: int
    tokens: int

    @property
    def stop(self) -> int:
        return self.start + self.tokens


class Run(NamedTuple):
    """`tokens` that follow the `held` ones of a row that decodes: the newest, then guesses at the next."""

    held: int
    tokens: int = 1


class Step:
    """A run for each of the first rows, then pieces of prompts.

    Masks and rotations are made once a step, not once a layer.
    """

    def __init__(self, rows: Rows, runs: Sequence[Run], pieces: Sequence[Piece]) -> None:
        self._rows, self._runs, self._pieces = rows, runs, pieces
        spans = [(row, run.held, run.tokens) for row, run in enumerate(runs)]
        spans += [(piece.row, piece.start, piece.tokens) for piece in pieces]
        self._places = Places(
            torch.tensor([row for row, _, tokens in spans for _ in range(tokens)], device=rows.device),
            torch.tensor([at for _, start, tokens in spans for at in range(start, start + tokens)], device=rows.device),
        )
        self._decoding = sum(run.tokens for run in runs)
        self._widest = max((run.tokens for run in runs), default=1)
        longest = max((run.held + run.tokens for run in runs), default=1)
        even = evened(longest)
        self._longest = even if rows.capacity > even * _WORTH_COPYING else rows.capacity
        self._spread: Tensor | None = None
        self._own: Tensor | None = None
        if self._decoding < len(runs) * self._widest:
            self._spread, self._own = self._widened()
        self._decode_masks: dict[int | None, Tensor] = {}  # by window
        self._piece_masks: dict[tuple[Piece, int | None, bool], Tensor | None] = {}  # None: a whole beginning, causal
        self._rotations: list[Rotation] = []

    def _widened(self) -> tuple[Tensor, Tensor]:
        """Of runs as long as the widest: which token stands where, the last again behind a shorter one's end; and which
        of them are the tokens."""
        spread: list[int] = []
        own: list[int] = []
        for row, run in enumerate(self._runs):
            first = len(own)
            own += range(row * self._widest, row * self._widest + run.tokens)
            spread += (first + min(at, run.tokens - 1) for at in range(self._widest))
        return torch.tensor(spread, device=self._rows.device), torch.tensor(own, device=self._rows.device)

    def rotation(self, cos: Tensor, sin: Tensor) -> Rotation:
        """Of the model's tables for this step's tokens, which it gives to every layer."""
        for known in self._rotations:
            if known.cos is cos:
                return known
        self._rotations.append(Rotation(cos, sin))
        return self._rotations[-1]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        """[tokens, heads, width] each → [tokens, heads, width]. Stores `key` and `value` too."""
        stored = self._rows.store(layer, self._places, key, value)
        if not self._pieces:
            return self._decode(query, stored, scores)
        at = self._decoding
        parts = [self._decode(query[:at], stored, scores)] if at else []
        for piece in self._pieces:
            own = slice(at, at + piece.tokens)
            if piece.start:
                held = (stored[0][piece.row, ..., : piece.stop].mT.contiguous(), stored[1][piece.row, :, : piece.stop])
            else:
                held = (key[own].transpose(0, 1), value[own].transpose(0, 1))
            parts.append(self._prefill(piece, query[own], held, scores))
            at = own.stop
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _decode(self, query: Tensor, stored: tuple[Tensor, Tensor], scores: Scores) -> Tensor:
        rows, shared = len(self._runs), stored[0].shape[1]
        keys = stored[0].flatten(0, 1)[: rows * shared, :, : self._longest]
        values = stored[1].flatten(0, 1)[: rows * shared, : self._longest]
        if scores.window not in self._decode_masks:
            self._decode_masks[scores.window] = self._decode_mask(scores.window, query)
        wide = (query if self._spread is None else query[self._spread]).view(rows, self._widest, *query.shape[1:])
        seen = read(wide, keys, values, self._decode_masks[scores.window], scores)
        return seen if self._own is None else seen[self._own]

    def _decode_mask(self, window: int | None, query: Tensor) -> Tensor:
        """[decoding, 1, widest, 1, longest], 0 or -inf."""
        held = torch.tensor([run.held for run in self._runs], device=query.device)[:, None, None]
        at = held + torch.arange(self._widest, device=query.device)[:, None]
        return _mask(at, torch.arange(self._longest, device=query.device), window, query)[:, None, :, None]

    def _prefill(self, piece: Piece, query: Tensor, held: tuple[Tensor, Tensor], scores: Scores) -> Tensor:
        """`held`: keys and values [heads, tokens, width]."""
        keys, values = held
        fused = scores.plain and keys.shape[2] == values.shape[2]
        key = piece, scores.window, fused
        if key not in self._piece_masks:
            whole = fused and not piece.start and scores.window is None
            self._piece_masks[key] = None if whole else _piece_mask(piece, scores.window, query)
        mask = self._piece_masks[key]
        if not fused:
            assert mask is not None
            return read(query[None], keys.mT, values, mask[None, None, :, None], scores)
        seen = scaled_dot_product_attention(
            query.transpose(0, 1)[None], keys[None], values[None], attn_mask=mask, is_causal=mask is None,
            scale=scores.scale, enable_gqa=True,
        )  # fmt: skip
        return seen[0].transpose(0, 1)


def _piece_mask(piece: Piece, window: int | None, query: Tensor) -> Tensor:
    """[tokens, stop]."""
    at = torch.arange(piece.start, piece.stop, device=query.device)[:, None]
    return _mask(at, torch.arange(piece.stop, device=query.device), window, query)


def _mask(at: Tensor, reached: Tensor, window: int | None, query: Tensor) -> Tensor:
    """0 where a token at `at` reads the one at `reached`, else -inf; as the query's numbers are."""
    seen = reached <= at if window is None else (reached <= at) & (reached > at - window)
    return query.new_zeros(seen.shape).masked_fill_(~seen, float("-inf"))


def attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **told: Any
) -> tuple[Tensor, None]:
    """As Transformers' register has it: [1, heads, tokens, width] → [1, tokens, heads, width].

    Raises Unprocessable where a family does not pass on what it is told, or reads by rules of its own.
    """
    if "step" not in told or any(told.get(name) is not None for name in _OTHERS):
        raise Unprocessable(OWN_ATTENTION, field="architectures")
    step: Step = told["step"]
    query, key, value = (one[0].transpose(0, 1) for one in (query, key, value))
    scores = Scores(told["scaling"], told.get("sliding_window"), told.get("softcap"), told.get("s_aux"))
    seen = step.attend(module.layer_idx, query, key, value, scores)
    return seen[None], None
