"""Architectures for token ids → classes. Padding (id 0) never changes an answer."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from gristmill.frameworks.architectures import Shapes


def _places(tokens: Any) -> Any:
    """0, 1, 2, ... along each row."""
    return ops.cumsum(ops.ones_like(tokens), axis=1) - 1


def _kept(tokens: Any) -> Any:
    """True for the tokens before the padding; an empty text keeps its first padding, so that a mean exists."""
    lengths = ops.sum(ops.cast(ops.not_equal(tokens, 0), "int64"), axis=1, keepdims=True)
    return ops.less(_places(tokens), ops.maximum(lengths, 1))


def _mean(states: Any, kept: Any) -> Any:
    counted = ops.expand_dims(ops.cast(kept, "float32"), -1)
    return ops.sum(ops.cast(states, "float32") * counted, axis=1) / ops.sum(counted, axis=1)


def _recurrent(cell: type[Any], shapes: Shapes, embedding: int, hidden: int, depth: int, dropout: float) -> Any:
    """Embedding, bidirectional layers, mean over the tokens. int64 [N, T] → [N, K]."""
    tokens = keras.Input((None,), dtype="int64", name="tokens")
    kept = _kept(tokens)
    states = layers.Embedding(shapes.vocabulary, embedding)(tokens)
    for _ in range(depth):
        states = layers.Dropout(dropout)(states)
        states = layers.Bidirectional(cell(hidden, return_sequences=True))(states, mask=kept)
    pooled = layers.Dropout(dropout)(_mean(states, kept))
    return keras.Model(tokens, layers.Dense(shapes.outputs, dtype="float32")(pooled))


def bilstm(shapes: Shapes, embedding: int = 100, hidden: int = 128, layers: int = 1, dropout: float = 0.0) -> Any:
    return _recurrent(keras.layers.LSTM, shapes, embedding, hidden, layers, dropout)


def bigru(shapes: Shapes, embedding: int = 100, hidden: int = 128, layers: int = 1, dropout: float = 0.0) -> Any:
    return _recurrent(keras.layers.GRU, shapes, embedding, hidden, layers, dropout)


def _encoder_layer(x: Any, kept: Any, width: int, heads: int, dropout: float) -> Any:
    """One pre-norm encoder layer (Xiong et al., ICML 2020)."""
    given = layers.LayerNormalization(epsilon=1e-5)(x)
    attended = layers.MultiHeadAttention(heads, width // heads)(given, given, attention_mask=ops.expand_dims(kept, 1))
    x = layers.Add()([x, layers.Dropout(dropout)(attended)])
    inner = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization(epsilon=1e-5)(x))
    narrow = layers.Dense(width)(layers.Dropout(dropout)(inner))
    return layers.Add()([x, layers.Dropout(dropout)(narrow)])


def transformer(
    shapes: Shapes, width: int = 128, heads: int = 4, layers: int = 2, max_length: int = 512, dropout: float = 0.0
) -> Any:
    """Encoder with learned positions (Vaswani et al., NeurIPS 2017), mean over the tokens. int64 [N, T] → [N, K]."""
    if width % heads:
        raise ValueError("width should be a multiple of heads")
    tokens = keras.Input((None,), dtype="int64", name="tokens")
    kept = _kept(tokens)
    positions = keras.layers.Embedding(max_length, width)(ops.minimum(_places(tokens), max_length - 1))
    states = keras.layers.Add()([keras.layers.Embedding(shapes.vocabulary, width)(tokens), positions])
    for _ in range(layers):
        states = _encoder_layer(states, kept, width, heads, dropout)
    pooled = _mean(keras.layers.LayerNormalization(epsilon=1e-5)(states), kept)
    return keras.Model(tokens, keras.layers.Dense(shapes.outputs, dtype="float32")(pooled))


ARCHITECTURES = {"bilstm": bilstm, "bigru": bigru, "transformer": transformer}
