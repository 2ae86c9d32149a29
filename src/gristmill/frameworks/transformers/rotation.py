"""Rotary positions in three operations, in place: x · cos + (x, its halves swapped) · sin.

Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding".
"""

from __future__ import annotations

import torch
from torch import Tensor


class Rotation:
    """Each feature of a head turns with the one half a width further on, as Transformers' `rotate_half` pairs them."""

    def __init__(self, cos: Tensor, sin: Tensor) -> None:
        """[1, tokens, width] each; features of a head beyond the width stay as they are."""
        self.cos = cos
        self._half = cos.shape[-1] // 2
        self._of_own = cos[0, :, None]
        self._of_other = torch.cat((-sin[..., : self._half], sin[..., self._half :]), -1)[0, :, None]

    def turn(self, heads: Tensor) -> None:
        """[tokens, heads, width], changed in place."""
        turning = heads[..., : 2 * self._half]
        other = turning.roll(self._half, -1)
        turning.mul_(self._of_own).addcmul_(other, self._of_other)
