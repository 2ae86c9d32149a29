"""Architectures for images → classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.keras.architectures.mlp import perceptron


def _convolution(x: Any, channels: int, size: int, stride: int) -> Any:
    x = layers.Conv2D(channels, size, stride, "same", use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def _residual(x: Any, channels: int, stride: int) -> Any:
    """Two 3×3 convolutions and a shortcut (He et al., CVPR 2016, basic block)."""
    inner = layers.ReLU()(_convolution(x, channels, 3, stride))
    inner = _convolution(inner, channels, 3, 1)
    beside = x if stride == 1 and x.shape[-1] == channels else _convolution(x, channels, 1, stride)
    return layers.ReLU()(layers.Add()([inner, beside]))


def _small_resnet(x: Any, widths: Sequence[int]) -> Any:
    x = layers.ReLU()(_convolution(x, widths[0], 3, 1))
    for place, width in enumerate(widths):
        x = _residual(x, width, 1 if place == 0 else 2)
    return layers.GlobalAveragePooling2D()(x)


def cnn(shapes: Shapes, channels: list[int] | None = None, dropout: float = 0.0) -> Any:
    """A small ResNet: one residual block a width, halving the picture from the second on. [N, C, H, W] → [N, K]."""
    image = keras.Input(shapes.row, name="image")
    pixels = layers.Permute((2, 3, 1))(image)  # channels last is the fast order here
    pooled = layers.Dropout(dropout)(_small_resnet(pixels, channels or [16, 32, 64]))
    return keras.Model(image, layers.Dense(shapes.outputs, dtype="float32")(pooled))


def mlp(shapes: Shapes, hidden: list[int] | None = None, dropout: float = 0.0) -> Any:
    image = keras.Input(shapes.row, name="image")
    return keras.Model(image, perceptron(image, shapes, hidden or [128, 64], dropout))


ARCHITECTURES = {"cnn": cnn, "mlp": mlp}
