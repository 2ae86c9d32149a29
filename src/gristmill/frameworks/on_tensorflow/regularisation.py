"""Regularisers of the training step: penalties, mixup, clipping, the weights' moving average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from gristmill.tasks.recipe import Regularisation


def penalty(variables: Sequence[Any], regularisation: Regularisation) -> Any:
    """l1 · Σ|w| + l2 · Σw²/2 over weight matrices."""
    weights = [variable for variable in variables if len(variable.shape) >= 2]
    absolute = tf.add_n([tf.reduce_sum(tf.abs(w)) for w in weights])
    squared = tf.add_n([tf.reduce_sum(tf.square(w)) for w in weights])
    return regularisation.l1 * absolute + regularisation.l2 / 2 * squared


def mixture(count: Any, alpha: float, seed: Any) -> tuple[Any, Any]:
    """Mixup (Zhang et al., ICLR 2018): a share from Beta(alpha, alpha), and a partner for each of `count` rows."""
    first, second = tf.unstack(tf.random.stateless_gamma([2], seed, alpha))
    places = tf.random.experimental.stateless_shuffle(tf.range(count), seed)
    return first / tf.maximum(first + second, 1e-30), places


def clipped(gradients: Sequence[Any], norm: float | None) -> Sequence[Any]:
    if norm is None:
        return gradients
    found: Sequence[Any] = tf.clip_by_global_norm(gradients, norm)[0]
    return found


def follow(average: Sequence[Any], current: Sequence[Any], decay: float, step: Any) -> None:
    """One step of the moving average of the weights, with the usual warm-up min(decay, (1 + t) / (10 + t))."""
    t = tf.cast(step, tf.float32)
    share = 1 - tf.minimum(decay, (1 + t) / (10 + t))
    for mean, value in zip(average, current, strict=True):
        mean.assign_add(tf.cast(share, mean.dtype) * (value - mean) if mean.dtype.is_floating else value - mean)
