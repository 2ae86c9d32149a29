"""Architectures for rows of features → classes."""

from __future__ import annotations

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.tensorflow.architectures.mlp import MLP
from gristmill.frameworks.tensorflow.network import TensorFlowNetwork


def mlp(shapes: Shapes, hidden: list[int] | None = None, dropout: float = 0.0) -> TensorFlowNetwork:
    return MLP(shapes, hidden or [64, 64], dropout)


ARCHITECTURES = {"mlp": mlp}
