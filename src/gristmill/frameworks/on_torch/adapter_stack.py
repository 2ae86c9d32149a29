"""Matrices of several LoRA adapters one behind the other: each token multiplies with its own in one call."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_MOST = 16  # adapters that a stack keeps beyond what a step needs: it holds a copy of each


class Lora:
    """One adapter in memory, for as long as a sequence computes with it."""

    def __init__(self, layers: dict[str, tuple[Tensor, Tensor]]) -> None:
        """By module: Aᵀ [inputs, rank] and scale · Bᵀ [rank, outputs]; all in one dtype."""
        self.layers = layers


class Stack:
    """Made for the adapters of a step; kept while those of the next steps are among them."""

    def __init__(self, loras: Iterable[Lora] = ()) -> None:
        self._numbers = {lora: number for number, lora in enumerate(loras)}
        self._pairs: dict[str, tuple[Tensor, Tensor] | None] = {}

    def holding(self, loras: Iterable[Lora]) -> Stack:
        """This stack, or a new one where it lacks one of them."""
        wanted = dict.fromkeys(loras)
        if wanted.keys() <= self._numbers.keys():
            return self
        together = dict.fromkeys((*self._numbers, *wanted))
        return Stack(together if len(together) <= _MOST else wanted)

    def numbers(self, loras: Iterable[Lora]) -> list[int]:
        return [self._numbers[lora] for lora in loras]

    def add(self, module: str, given: Tensor, which: Tensor) -> Tensor | None:
        """`given` [tokens, inputs], `which` [tokens]: numbers of their adapters → [tokens, outputs]; None: no adapter
        is on the module."""
        if module not in self._pairs:
            self._pairs[module] = self._stacked(module)
        pair = self._pairs[module]
        if pair is None:
            return None
        down, up = pair
        low = torch.bmm(given.to(down.dtype)[:, None], down[which])
        return torch.bmm(low, up[which])[:, 0]

    def _stacked(self, module: str) -> tuple[Tensor, Tensor] | None:
        """[adapters, inputs, rank] and [adapters, rank, outputs]; lower ranks and what is not there are zeros."""
        own = {number: lora.layers[module] for lora, number in self._numbers.items() if module in lora.layers}
        if not own:
            return None
        first_down, first_up = next(iter(own.values()))
        rank = max(down.shape[1] for down, _ in own.values())
        downs = first_down.new_zeros(len(self._numbers), first_down.shape[0], rank)
        ups = first_up.new_zeros(len(self._numbers), rank, first_up.shape[1])
        for number, (down, up) in own.items():
            downs[number, :, : down.shape[1]], ups[number, : up.shape[0]] = down, up
        return downs, ups
