"""Architectures for rows of features → a number."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gristmill.frameworks.torch.architectures.mlp import MLP
from gristmill.frameworks.torch.architectures.shapes import Shapes


class ScaledMLP(nn.Module):
    """An MLP of the standardised target; answers in the target's own unit."""

    target_mean: Tensor
    target_std: Tensor

    def __init__(self, shapes: Shapes, hidden: list[int], dropout: float) -> None:
        super().__init__()
        self.mlp = MLP(shapes.values, 1, hidden, dropout)
        self.register_buffer("target_mean", torch.tensor(shapes.target_mean))
        self.register_buffer("target_std", torch.tensor(shapes.target_std))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.mlp(x).float() * self.target_std + self.target_mean
        return result


def mlp(shapes: Shapes, hidden: list[int] | None = None, dropout: float = 0.0) -> nn.Module:
    return ScaledMLP(shapes, hidden or [64, 64], dropout)


ARCHITECTURES = {"mlp": mlp}
