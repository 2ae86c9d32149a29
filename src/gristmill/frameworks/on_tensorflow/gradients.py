"""Integrated gradients by TensorFlow's tape, on the probability that the task answers with (or the value)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from gristmill.frameworks.rows import gradient_rows
from gristmill.tasks.protocol import Tensors


class Path:
    """From a baseline to an input. `embed`: inputs → real values; `score`: (values, inputs) → [N, K] to be explained.

    For token ids the values are embeddings; the inputs tell the score which of them are padding. `one_by_one`: the
    model's batch is fixed at one row.
    """

    def __init__(self, embed: Callable[[Any], Any], score: Callable[[Any, Any], Any], one_by_one: bool = False) -> None:
        self._embed, self._one_by_one = embed, one_by_one
        self._score = tf.function(lambda values, x, targets: tf.gather(score(values, x), targets, batch_dims=1))
        self._slope = tf.function(self._gradient, reduce_retracing=True)

    def _gradient(self, values: Any, x: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(values)
            scores = self._score(values, x, targets)
        return tape.gradient(scores, values)

    def attribute(
        self, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int
    ) -> tuple[Tensors, np.ndarray]:
        """See frameworks/protocol.Differentiable."""
        ((name, given),) = inputs.items()
        row = self._embed(tf.constant(given[:1]))
        at_once = 1 if self._one_by_one else gradient_rows(row.dtype.size * int(tf.size(row)))
        parts = [
            self._attribute(given[rows], baselines[name][rows], targets[rows], steps, at_once)
            for start in range(0, len(given), at_once)
            for rows in (slice(start, start + at_once),)
        ]
        attributions, deltas = zip(*parts, strict=True)
        return {name: np.concatenate(attributions)}, np.concatenate(deltas)

    def _attribute(
        self, given: np.ndarray, baseline: np.ndarray, targets: np.ndarray, steps: int, at_once: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gauss-Legendre quadrature, as captum's default."""
        x, chosen = tf.constant(given), tf.constant(targets.astype(np.int64))
        end, start = self._embed(x), self._embed(tf.constant(baseline))
        places, shares = np.polynomial.legendre.leggauss(steps)
        points, mean = max(1, at_once // len(given)), np.zeros(end.shape)
        for first in range(0, steps, points):
            part = ((places[first : first + points] + 1) / 2).astype(np.float32)
            at = tf.concat([start + place * (end - start) for place in part], axis=0)
            count = len(part)
            slopes = self._slope(at, tf.concat([x] * count, axis=0), tf.tile(chosen, [count]))
            weights = shares[first : first + count] / 2
            mean += np.tensordot(weights, slopes.numpy().reshape(count, *end.shape), axes=1)
        attributions = mean * (end - start).numpy()
        delta = attributions.reshape(len(given), -1).sum(axis=1) - (
            self._score(end, x, chosen) - self._score(start, x, chosen)
        ).numpy()  # fmt: skip
        tokens = attributions.ndim > given.ndim
        return (attributions.sum(axis=-1) if tokens else attributions).astype(np.float32), delta


def probabilities(output: Any, scores: str) -> Any:
    """What a task answers with of its model's output [N, K]; `scores`: see frameworks/scores.py."""
    if scores == "probability":
        return tf.concat([1 - output, output], axis=1)
    if scores == "independent-logits":
        return tf.sigmoid(output)
    return tf.nn.softmax(output) if output.shape[1] != 1 and scores == "logits" else output
