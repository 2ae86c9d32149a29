"""Architectures for token ids → classes. Padding (id 0) never changes an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.tensorflow.layers import Attention, Chance, Dense, Embedding, LayerNorm, dropped
from gristmill.frameworks.tensorflow.network import TensorFlowNetwork
from gristmill.frameworks.tensorflow.recurrent import GRU, LSTM, Bidirectional


class TextNetwork(TensorFlowNetwork):
    """Embedding, states of the tokens, their mean. int64 [N, T] → [N, K]."""

    def __init__(self, chance: Chance, shapes: Shapes, embedding: int, width: int, dropout: float) -> None:
        super().__init__()
        self.embedding = Embedding(chance, shapes.vocabulary, embedding)
        self.head = Dense(chance, width, shapes.outputs)
        self._dropout = dropout

    def embed(self, x: Any) -> Any:
        return self.embedding(x)

    def from_values(self, values: Any, x: Any, seed: Any | None) -> Any:
        # an empty text counts its first padding, so that a mean exists
        lengths = tf.maximum(tf.math.count_nonzero(x, axis=1, dtype=tf.int32), 1)
        kept = tf.sequence_mask(lengths, tf.shape(x)[1])
        states = self.states(tf.cast(values, self.compute), kept, lengths, seed)
        total = tf.reduce_sum(tf.where(kept[:, :, None], tf.cast(states, tf.float32), 0.0), axis=1)
        return self.head(dropped(total / tf.cast(lengths, tf.float32)[:, None], self._dropout, seed, 99))

    def states(self, values: Any, kept: Any, lengths: Any, seed: Any | None) -> Any:
        """[N, T, embedding] → [N, T, width]."""
        raise NotImplementedError


class Recurrent(TextNetwork):
    """Bidirectional LSTM or GRU layers."""

    def __init__(
        self, cell: type[LSTM] | type[GRU], shapes: Shapes, embedding: int, hidden: int, layers: int, dropout: float
    ) -> None:
        chance = np.random.default_rng(shapes.seed)
        super().__init__(chance, shapes, embedding, 2 * hidden, dropout)
        widths = [embedding, *[2 * hidden] * (layers - 1)]
        self.layers = [Bidirectional(cell, chance, width, hidden) for width in widths]

    def states(self, values: Any, kept: Any, lengths: Any, seed: Any | None) -> Any:
        for place, layer in enumerate(self.layers):
            values = layer(dropped(values, self._dropout, seed, place), lengths)
        return values


class Block(tf.Module):
    """One pre-norm encoder layer (Xiong et al., ICML 2020)."""

    def __init__(self, chance: Chance, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention, self.attention_norm = Attention(chance, width, heads), LayerNorm(width)
        self.wide, self.narrow, self.norm = Dense(chance, width, 4 * width), Dense(chance, 4 * width, width), LayerNorm(width)  # fmt: skip  # noqa: E501
        self._dropout = dropout

    def __call__(self, x: Any, kept: Any, seed: Any | None, place: int) -> Any:
        x = x + dropped(self.attention(self.attention_norm(x), kept), self._dropout, seed, place)
        inner = dropped(tf.nn.gelu(self.wide(self.norm(x))), self._dropout, seed, place + 1)
        return x + dropped(self.narrow(inner), self._dropout, seed, place + 2)


class Transformer(TextNetwork):
    """Encoder with learned positions (Vaswani et al., NeurIPS 2017)."""

    def __init__(self, shapes: Shapes, width: int, heads: int, layers: int, max_length: int, dropout: float) -> None:
        chance = np.random.default_rng(shapes.seed)
        super().__init__(chance, shapes, width, width, 0.0)
        self.positions = Embedding(chance, max_length, width)
        self.blocks = [Block(chance, width, heads, dropout) for _ in range(layers)]
        self.norm = LayerNorm(width)
        self._last = max_length - 1

    def states(self, values: Any, kept: Any, lengths: Any, seed: Any | None) -> Any:
        places = tf.minimum(tf.range(tf.shape(values)[1]), self._last)
        state = values + tf.cast(self.positions(places), values.dtype)
        for place, block in enumerate(self.blocks):
            state = block(state, kept, seed, 3 * place)
        return self.norm(state)


def bilstm(
    shapes: Shapes, embedding: int = 100, hidden: int = 128, layers: int = 1, dropout: float = 0.0
) -> TensorFlowNetwork:
    return Recurrent(LSTM, shapes, embedding, hidden, layers, dropout)


def bigru(
    shapes: Shapes, embedding: int = 100, hidden: int = 128, layers: int = 1, dropout: float = 0.0
) -> TensorFlowNetwork:
    return Recurrent(GRU, shapes, embedding, hidden, layers, dropout)


def transformer(
    shapes: Shapes, width: int = 128, heads: int = 4, layers: int = 2, max_length: int = 512, dropout: float = 0.0
) -> TensorFlowNetwork:
    return Transformer(shapes, width, heads, layers, max_length, dropout)


ARCHITECTURES = {"bilstm": bilstm, "bigru": bigru, "transformer": transformer}
