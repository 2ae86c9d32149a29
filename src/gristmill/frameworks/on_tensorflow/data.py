"""A split as a `tf.data` pipeline, in an order that follows from (seed, epoch) alone: any step can be made again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from gristmill.frameworks.protocol import Split


class TensorSplit:
    """Inputs and targets as tensors, gathered by row inside the graph."""

    def __init__(self, split: Split) -> None:
        (values,) = split.inputs.values()
        self.targets = split.targets
        self.x, self.y = tf.constant(values), tf.constant(split.targets)
        self.tokens = values.dtype == np.int64  # token ids: a batch is cut to its longest row
        self.row = [None] if self.tokens else list(split.row)
        self._window = tf.range(split.window) if split.window else None  # of a series' rows

    def __len__(self) -> int:
        return len(self.targets)

    def batches(self, size: int) -> Iterator[Any]:
        """The inputs in order."""
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield self._cut(self.x[rows]) if self._window is None else self._given(tf.range(rows.start, rows.stop))

    def stream(self, seed: int, first_epoch: int, last_epoch: int, rows: int, skip: int) -> Any:
        """(x, y) of each step of the epochs from `first_epoch` to before `last_epoch`, less the first `skip` steps."""

        def order(epoch: Any) -> Any:
            chance = tf.stack([tf.constant(seed % 2**63, tf.int64), epoch])
            places = tf.random.experimental.stateless_shuffle(tf.range(len(self)), chance)
            return tf.data.Dataset.from_tensor_slices(places).batch(rows)

        options = tf.data.Options()
        options.deterministic = True
        options.autotune.enabled = False  # a map of rows in memory needs no threads of its own
        epochs = tf.data.Dataset.range(first_epoch, last_epoch).flat_map(order).skip(skip)
        return epochs.map(self._rows).prefetch(2).with_options(options)

    def _rows(self, places: Any) -> tuple[Any, Any]:
        return self._given(places), tf.gather(self.y, places)

    def _given(self, places: Any) -> Any:
        if self._window is not None:
            places = places[:, None] + self._window
        return self._cut(tf.gather(self.x, places))

    def _cut(self, x: Any) -> Any:
        if not self.tokens:
            return x
        return x[:, : tf.maximum(1, tf.reduce_sum(tf.cast(tf.reduce_any(x != 0, axis=0), tf.int32)))]
