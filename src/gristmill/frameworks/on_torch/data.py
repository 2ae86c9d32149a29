"""A split on the device, in an order that follows from (seed, epoch) alone: any batch can be made again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from gristmill.frameworks.protocol import Split


class DeviceSplit:
    """Inputs and targets as tensors, indexed in place: no loader, no collation, no copies by row."""

    def __init__(self, split: Split, device: torch.device, padding: int = 0) -> None:
        (values,) = split.inputs.values()
        self.x = torch.from_numpy(np.ascontiguousarray(values)).to(device)
        self.y = torch.from_numpy(np.ascontiguousarray(split.targets)).to(device)
        self._padded = values.dtype == np.int64  # token ids: a batch is cut to its longest row
        self._padding = padding
        # of a series, whose examples are stretches of its rows
        self._steps = torch.arange(split.window, device=device) if split.window else None

    def __len__(self) -> int:
        return len(self.y)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """In order."""
        for start in range(0, len(self), size):
            y = self.y[start : start + size]
            x = self.x[start : start + size]
            if self._steps is not None:
                x = self._windows(torch.arange(start, start + len(y), device=y.device))
            yield self._cut(x), y

    def order(self, seed: int, epoch: int) -> Tensor:
        """The epoch's permutation."""
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
        return torch.randperm(len(self), generator=generator).to(self.y.device)

    def rows(self, places: Tensor) -> tuple[Tensor, Tensor]:
        x = self.x.index_select(0, places) if self._steps is None else self._windows(places)
        return self._cut(x), self.y.index_select(0, places)

    def _windows(self, places: Tensor) -> Tensor:
        assert self._steps is not None
        return self.x[places[:, None] + self._steps]

    def _cut(self, x: Tensor) -> Tensor:
        return x[:, : max(1, int((x != self._padding).any(dim=0).sum()))] if self._padded else x
