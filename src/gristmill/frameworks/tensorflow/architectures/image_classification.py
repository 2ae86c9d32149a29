"""Architectures for images → classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.tensorflow.architectures.mlp import MLP
from gristmill.frameworks.tensorflow.layers import BatchNorm, Chance, Convolution, Dense, dropped
from gristmill.frameworks.tensorflow.network import TensorFlowNetwork


class Residual(tf.Module):
    """Two 3×3 convolutions and a shortcut (He et al., CVPR 2016, basic block)."""

    def __init__(self, chance: Chance, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = Convolution(chance, channels_in, channels_out, 3, stride)
        self.second = Convolution(chance, channels_out, channels_out, 3, 1)
        self.first_norm, self.second_norm = BatchNorm(channels_out), BatchNorm(channels_out)
        self.shortcut: Convolution | None = None
        if stride != 1 or channels_in != channels_out:
            self.shortcut = Convolution(chance, channels_in, channels_out, 1, stride)
            self.shortcut_norm = BatchNorm(channels_out)

    def __call__(self, x: Any, training: bool) -> Any:
        inner = tf.nn.relu(self.first_norm(self.first(x), training))
        beside = x if self.shortcut is None else self.shortcut_norm(self.shortcut(x), training)
        return tf.nn.relu(self.second_norm(self.second(inner), training) + beside)


class CNN(TensorFlowNetwork):
    """A small ResNet: one residual block a width, halving the picture from the second on. [N, C, H, W] → [N, K]."""

    def __init__(self, shapes: Shapes, widths: Sequence[int], dropout: float) -> None:
        super().__init__()
        chance = np.random.default_rng(shapes.seed)
        self._dropout = dropout
        self.stem, self.stem_norm = Convolution(chance, shapes.row[0], widths[0], 3, 1), BatchNorm(widths[0])
        pairs = zip((widths[0], *widths), widths, strict=False)
        self.blocks = [Residual(chance, a, b, 1 if place == 0 else 2) for place, (a, b) in enumerate(pairs)]
        self.head = Dense(chance, widths[-1], shapes.outputs)

    def from_values(self, values: Any, x: Any, seed: Any | None) -> Any:
        training = seed is not None
        pixels = tf.cast(tf.transpose(values, [0, 2, 3, 1]), self.compute)  # channels last is the fast order here
        state = tf.nn.relu(self.stem_norm(self.stem(pixels), training))
        for block in self.blocks:
            state = block(state, training)
        pooled = dropped(tf.reduce_mean(state, [1, 2]), self._dropout, seed, 0)
        return tf.cast(self.head(pooled), tf.float32)


def cnn(shapes: Shapes, channels: list[int] | None = None, dropout: float = 0.0) -> TensorFlowNetwork:
    return CNN(shapes, channels or [16, 32, 64], dropout)


def mlp(shapes: Shapes, hidden: list[int] | None = None, dropout: float = 0.0) -> TensorFlowNetwork:
    return MLP(shapes, hidden or [128, 64], dropout)


ARCHITECTURES = {"cnn": cnn, "mlp": mlp}
