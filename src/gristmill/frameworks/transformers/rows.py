"""Keys and values of many sequences, a row each, without padding."""

from __future__ import annotations

import torch
from torch import Tensor

_FIRST_CAPACITY = 256


class Rows:
    """Two tensors a layer, [rows, capacity, heads, width]; as sequences get longer, rows double and become fewer."""

    def __init__(self, most: int, memory_bytes: int, dtype: torch.dtype, device: torch.device) -> None:
        self.capacity = _FIRST_CAPACITY
        self.count = most
        self.device = device
        self._most, self._memory_bytes, self._dtype = most, memory_bytes, dtype
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def bytes_a_token(self) -> int:
        """Known after the first forward pass; 0: the model's attention does not come here."""
        sizes = (one.shape[2] * one.shape[3] * one.element_size() for pair in self._layers.values() for one in pair)
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
        grown[:, : stored.shape[1]] = stored[: self.count]
        return grown

    def store(self, layer: int, places: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's tensors, after `keys` and `values` [tokens, heads, width] took their places: row · capacity +
        position, int64 [tokens]. Made when the layer is first computed."""
        if layer not in self._layers:
            self._layers[layer] = (self._new(keys), self._new(values))
        stored = self._layers[layer]
        stored[0].flatten(0, 1).index_copy_(0, places, keys)
        stored[1].flatten(0, 1).index_copy_(0, places, values)
        return stored

    def _new(self, like: Tensor) -> Tensor:
        # zeros: what is masked is multiplied by zero, and a NaN of unset memory would survive that
        shape = (self.count, self.capacity, *like.shape[-2:])
        return torch.zeros(shape, dtype=self._dtype, device=self.device)

    def read(self, row: int, tokens: int) -> list[tuple[Tensor, Tensor]]:
        """A copy of the first `tokens` of a row, by layer."""
        return [(keys[row, :tokens].clone(), values[row, :tokens].clone()) for keys, values in self._layers.values()]

    def write(self, row: int, copied: list[tuple[Tensor, Tensor]]) -> None:
        for (keys, values), (of_keys, of_values) in zip(self._layers.values(), copied, strict=True):
            keys[row, : len(of_keys)] = of_keys
            values[row, : len(of_values)] = of_values

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
