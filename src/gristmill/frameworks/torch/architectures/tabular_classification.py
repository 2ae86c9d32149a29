"""Architectures for rows of features → classes."""

from __future__ import annotations

from torch import nn

from gristmill.frameworks.torch.architectures.mlp import MLP
from gristmill.frameworks.torch.architectures.shapes import Shapes


def mlp(shapes: Shapes, hidden: list[int] | None = None, dropout: float = 0.0) -> nn.Module:
    return MLP(shapes.values, shapes.outputs, hidden or [64, 64], dropout)


ARCHITECTURES = {"mlp": mlp}
