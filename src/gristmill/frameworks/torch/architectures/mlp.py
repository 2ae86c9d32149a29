"""Multi-layer perceptron: linear layers with ReLU and dropout between."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class MLP(nn.Module):
    """float32 [N, ...] of `inputs` values a row → [N, outputs]."""

    def __init__(self, inputs: int, outputs: int, hidden: Sequence[int] = (64, 64), dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width_in, width_out in zip((inputs, *hidden), hidden, strict=False):
            layers += [nn.Linear(width_in, width_out), nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
        self.layers = nn.Sequential(*layers, nn.Linear((inputs, *hidden)[-1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x.flatten(1))
        return result
