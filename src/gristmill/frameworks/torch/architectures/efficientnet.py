"""EfficientNet-Lite0 (Tan, Le, ICML 2019; Lite: Google, 2020): no squeeze-and-excitation, ReLU6, a fixed stem and head.

Parameter names are those of the published PyTorch weights, so that they fit without renaming.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


class Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
_STEM, _HEAD = 32, 1280


class SamePadded(nn.Conv2d):
    """TensorFlow's "same" padding: what is odd goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(reversed(x.shape[2:]), self.kernel_size, self.stride, strict=True):
            needed = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [needed // 2, needed - needed // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """Mobile inverted bottleneck: widen, convolve by channel, narrow; a shortcut where the shape stays."""

    def __init__(self, channels_in: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inner = channels_in * stage.expand
        self.expands, self.shortcut = stage.expand != 1, stride == 1 and channels_in == stage.channels
        if self.expands:
            self._expand_conv = SamePadded(channels_in, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = SamePadded(inner, inner, stage.kernel, stride, groups=inner, bias=False)
        self._bn1 = _norm(inner)
        self._project_conv = SamePadded(inner, stage.channels, 1, bias=False)
        self._bn2 = _norm(stage.channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        inner = F.relu6(self._bn1(self._depthwise_conv(inner)))
        result: Tensor = self._bn2(self._project_conv(inner))
        return result + x if self.shortcut else result


class EfficientNetLite0(nn.Module):
    """[N, channels, H, W] → [N, outputs]."""

    def __init__(self, channels: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self._conv_stem = SamePadded(channels, _STEM, 3, 2, bias=False)
        self._bn0 = _norm(_STEM)
        blocks: list[nn.Module] = []
        width = _STEM
        for stage in STAGES:
            for repeat in range(stage.repeats):
                blocks.append(Block(width, stage, stage.stride if repeat == 0 else 1))
                width = stage.channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SamePadded(width, _HEAD, 1, bias=False)
        self._bn1 = _norm(_HEAD)
        self._dropout = nn.Dropout(dropout)
        self._fc = nn.Linear(_HEAD, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))
        result: Tensor = self._fc(self._dropout(x))
        return result
