"""Keys and values of many sequences, a row each, without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gristmill.frameworks.huge_pages import prefer_huge_pages

_SHORTEST_STEP = 64


class Places(NamedTuple):
    """Where tokens are kept: int64 [tokens] each."""

    rows: Tensor
    positions: Tensor


class Rows:
    """Two tensors a layer: keys [rows, heads, width, capacity], as a product with queries reads them, and values
    [rows, heads, capacity, width]. As sequences get longer, rows do, and become fewer."""

    def __init__(self, most: int, memory_bytes: int, dtype: torch.dtype, device: torch.device) -> None:
        self.capacity = _SHORTEST_STEP
        self.count = most
        self.bytes_a_token = 0  # known after the first forward pass; 0: the model's attention does not come here
        self.device = device
        self._most, self._memory_bytes, self._dtype = most, memory_bytes, dtype
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def fitting(self, tokens: int) -> int:
        """How many rows of so many tokens the memory holds; at least one."""
        capacity = max(self.capacity, evened(tokens))
        return max(1, min(self._most, self._memory_bytes // (self.bytes_a_token * capacity)))

    def reserve(self, tokens: int, used: int) -> None:
        """Make room for rows of so many tokens; kept is what the first `used` rows hold, at most `fitting` of them."""
        if tokens <= self.capacity:
            return
        self.count = self.fitting(tokens)
        self.capacity = evened(tokens)
        kept = min(used, self.count)
        grown = self._new([(keys.shape[1], keys.shape[2], values.shape[3]) for keys, values in self._layers.values()])
        for (layer, (keys, values)), (of_keys, of_values) in zip(list(self._layers.items()), grown, strict=True):
            of_keys[:kept, ..., : keys.shape[3]] = keys[:kept]
            of_values[:kept, :, : keys.shape[3]] = values[:kept]
            self._layers[layer] = of_keys, of_values

    def store(self, layer: int, places: Places, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's tensors, after `keys` and `values` [tokens, heads, width] took their places. Made when the layer
        is first computed."""
        if layer not in self._layers:
            (self._layers[layer],) = self._new([(*keys.shape[1:], values.shape[2])])
            self.bytes_a_token += sum(one[0].numel() * one.element_size() for one in (keys, values))
        stored = self._layers[layer]
        stored[0][places.rows, :, :, places.positions] = keys
        stored[1][places.rows, :, places.positions] = values
        return stored

    def _new(self, shapes: Sequence[tuple[int, int, int]]) -> list[tuple[Tensor, Tensor]]:
        """For layers of so many heads, with keys and values of such widths, in one block."""
        sizes = [self.count * heads * width * self.capacity for heads, *widths in shapes for width in widths]
        # zeros: what is masked is multiplied by zero, and a NaN of unset memory would survive that
        block = torch.zeros(sum(sizes), dtype=self._dtype, device=self.device)
        if block.device.type == "cpu":
            prefer_huge_pages(block.data_ptr(), block.nbytes)
        parts = iter(torch.split(block, sizes))
        return [(next(parts).view(self.count, heads, of_key, self.capacity),
                 next(parts).view(self.count, heads, self.capacity, of_value))
                for heads, of_key, of_value in shapes]  # fmt: skip

    def copy(self, source: int, target: int, tokens: int) -> None:
        """The first `tokens` of one row, in the other's place."""
        if source != target:
            for beginning in self._beginnings(tokens):
                beginning[target].copy_(beginning[source])

    def swap(self, one: int, other: int, tokens: int) -> None:
        """Exchange the first `tokens` of two rows."""
        if one != other:
            for beginning in self._beginnings(tokens):
                kept = beginning[one].clone()
                beginning[one].copy_(beginning[other])
                beginning[other].copy_(kept)

    def _beginnings(self, tokens: int) -> Iterator[Tensor]:
        """Of the rows, by layer; whole rows, which lie in one piece, are sooner copied than most of each."""
        some = tokens * 2 < self.capacity
        for keys, values in self._layers.values():
            yield keys[..., :tokens] if some else keys
            yield values[:, :, :tokens] if some else values


def evened(tokens: int) -> int:
    """So many or up to a quarter more: a length that products are quick with, and that holds for some steps."""
    step = max(_SHORTEST_STEP, (1 << tokens.bit_length()) >> 3)
    return -(-tokens // step) * step
