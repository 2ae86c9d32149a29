"""Architectures for images → classes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from gristmill.frameworks.torch.architectures.efficientnet import EfficientNetLite0
from gristmill.frameworks.torch.architectures.mlp import MLP
from gristmill.frameworks.torch.architectures.shapes import Shapes


class Residual(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al., CVPR 2016, basic block)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            convolution = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


class CNN(nn.Module):
    """A small ResNet: one residual block a width, halving the picture from the second on. [N, C, H, W] → [N, K]."""

    def __init__(self, channels: int, outputs: int, widths: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        pairs = zip((widths[0], *widths), widths, strict=False)
        self.blocks = nn.Sequential(*(Residual(a, b, 1 if place == 0 else 2) for place, (a, b) in enumerate(pairs)))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[-1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.blocks(self.stem(x)).mean(dim=(2, 3)))
        return result


def cnn(shapes: Shapes, channels: list[int] | None = None, dropout: float = 0.0) -> nn.Module:
    return CNN(shapes.row[0], shapes.outputs, channels or [16, 32, 64], dropout)


def mlp(shapes: Shapes, hidden: list[int] | None = None, dropout: float = 0.0) -> nn.Module:
    return MLP(shapes.values, shapes.outputs, hidden or [128, 64], dropout)


def efficientnet_lite0(shapes: Shapes, dropout: float = 0.2) -> nn.Module:
    return EfficientNetLite0(shapes.row[0], shapes.outputs, dropout)


ARCHITECTURES = {"cnn": cnn, "mlp": mlp, "efficientnet-lite0": efficientnet_lite0}
