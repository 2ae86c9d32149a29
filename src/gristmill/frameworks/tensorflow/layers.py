"""The layers that TensorFlow's architectures are made of: `tf.Module`s that compute in their input's precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Chance = np.random.Generator  # where initial weights come from


def initialised(chance: Chance, shape: Sequence[int], fan_in: int, fan_out: int) -> Any:
    """Uniform in ±√(6 / (fan_in + fan_out)) (Glorot, Bengio, AISTATS 2010)."""
    bound = math.sqrt(6 / (fan_in + fan_out))
    return tf.Variable(chance.uniform(-bound, bound, shape).astype(np.float32))


def dropped(x: Any, share: float, seed: Any | None, place: int) -> Any:
    """Dropout in training; `place` tells the layers of a model apart."""
    if seed is None or not share:
        return x
    return tf.nn.experimental.stateless_dropout(x, share, tf.random.experimental.stateless_fold_in(seed, place))


class Dense(tf.Module):
    """[..., inputs] → [..., outputs]."""

    def __init__(self, chance: Chance, inputs: int, outputs: int) -> None:
        super().__init__()
        self.kernel = initialised(chance, (inputs, outputs), inputs, outputs)
        self.bias = tf.Variable(tf.zeros(outputs))

    def __call__(self, x: Any) -> Any:
        return x @ tf.cast(self.kernel, x.dtype) + tf.cast(self.bias, x.dtype)


class Convolution(tf.Module):
    """[N, H, W, inputs] → [N, H / stride, W / stride, outputs], no bias: a normalisation follows."""

    def __init__(self, chance: Chance, inputs: int, outputs: int, size: int, stride: int) -> None:
        super().__init__()
        area = size * size
        self.kernel = initialised(chance, (size, size, inputs, outputs), area * inputs, area * outputs)
        self._stride = stride

    def __call__(self, x: Any) -> Any:
        return tf.nn.conv2d(x, tf.cast(self.kernel, x.dtype), self._stride, "SAME")


class BatchNorm(tf.Module):
    """Ioffe, Szegedy, ICML 2015; in float32. Its running statistics follow in training by a tenth a step."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.offset = tf.Variable(tf.ones(channels)), tf.Variable(tf.zeros(channels))
        kept = {"trainable": False, "aggregation": tf.VariableAggregation.MEAN}
        self.mean, self.variance = tf.Variable(tf.zeros(channels), **kept), tf.Variable(tf.ones(channels), **kept)

    def __call__(self, x: Any, training: bool) -> Any:
        real = tf.cast(x, tf.float32)
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = tf.nn.moments(real, [0, 1, 2])
            self.mean.assign(0.9 * self.mean + 0.1 * mean)
            self.variance.assign(0.9 * self.variance + 0.1 * variance)
        return tf.cast(tf.nn.batch_normalization(real, mean, variance, self.offset, self.scale, 1e-5), x.dtype)


class LayerNorm(tf.Module):
    """Over the last dimension, in float32 (Ba, Kiros, Hinton 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, self.offset = tf.Variable(tf.ones(width)), tf.Variable(tf.zeros(width))

    def __call__(self, x: Any) -> Any:
        real = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(real, [-1], keepdims=True)
        return tf.cast(tf.nn.batch_normalization(real, mean, variance, self.offset, self.scale, 1e-5), x.dtype)


class Embedding(tf.Module):
    """int64 [N, T] → float32 [N, T, width]."""

    def __init__(self, chance: Chance, rows: int, width: int) -> None:
        super().__init__()
        self.table = tf.Variable(chance.normal(0.0, 0.05, (rows, width)).astype(np.float32))

    def __call__(self, places: Any) -> Any:
        return tf.gather(self.table, places)


class Attention(tf.Module):
    """Multi-head self-attention (Vaswani et al., NeurIPS 2017). `kept` bool [N, T] says which keys are seen."""

    def __init__(self, chance: Chance, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError("width should be a multiple of heads")
        self.projection, self.out = Dense(chance, width, 3 * width), Dense(chance, width, width)
        self._heads, self._width = heads, width // heads

    def __call__(self, x: Any, kept: Any) -> Any:
        rows, length = tf.shape(x)[0], tf.shape(x)[1]
        projected = tf.reshape(self.projection(x), [rows, length, 3, self._heads, self._width])
        query, key, value = tf.unstack(tf.transpose(projected, [2, 0, 3, 1, 4]))
        scores = tf.matmul(query, key, transpose_b=True) / math.sqrt(self._width)
        seen = tf.nn.softmax(tf.where(kept[:, None, None, :], tf.cast(scores, tf.float32), -1e9))
        mixed = tf.transpose(tf.matmul(tf.cast(seen, x.dtype), value), [0, 2, 1, 3])
        return self.out(tf.reshape(mixed, [rows, length, self._heads * self._width]))
