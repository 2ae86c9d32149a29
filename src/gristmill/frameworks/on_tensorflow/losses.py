"""Losses by name. A classification loss takes logits [N, K] and classes int64 [N]; a regression loss values [N, 1]; a
forecast's loss values [N, horizon · T] and targets of as many numbers a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from gristmill.frameworks.scales import target_scale
from gristmill.tasks.recipe import Loss

LossFunction = Callable[[Any, Any], Any]


def build_loss(loss: Loss, name: str, targets: np.ndarray, classes: int | None) -> LossFunction:
    """Mean loss over a batch; `targets` are the training split's, for class weights and the target's scale."""
    if classes is None:
        return _regression(loss, name, target_scale(targets))
    balanced = loss.class_weights == "balanced"
    weights = tf.constant(_balanced(targets, classes) if balanced else np.ones(classes), tf.float32)
    functions: dict[str, LossFunction] = {
        "focal": lambda logits, y: _focal(logits, y, loss.gamma, weights),
        "bce": lambda logits, y: _binary(logits, y, weights),
        "cross-entropy": lambda logits, y: _cross_entropy(logits, y, loss.label_smoothing, weights),
    }
    return functions[name]


def _cross_entropy(logits: Any, y: Any, smoothing: float, weights: Any) -> Any:
    """Weighted mean, as PyTorch's: the smoothed share of a class counts by that class's weight."""
    classes = logits.shape[1]
    wanted = (1 - smoothing) * tf.one_hot(y, classes) + smoothing / classes
    rows = -tf.reduce_sum(tf.nn.log_softmax(logits) * wanted * weights, axis=1)
    return tf.reduce_sum(rows) / tf.reduce_sum(tf.gather(weights, y))


def _binary(logits: Any, y: Any, weights: Any) -> Any:
    wanted = tf.one_hot(y, logits.shape[1])
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits) * weights)


def _focal(logits: Any, y: Any, gamma: float, weights: Any) -> Any:
    """Lin et al., ICCV 2017, eq. 5: −(1 − p)^γ log p."""
    log_p = tf.gather(tf.nn.log_softmax(logits), y, batch_dims=1)
    chosen = tf.gather(weights, y)
    return tf.reduce_sum(-((1 - tf.exp(log_p)) ** gamma) * log_p * chosen) / tf.reduce_sum(chosen)


def _regression(loss: Loss, name: str, scale: np.ndarray) -> LossFunction:
    """In units of the target's standard deviation, so that rates and Huber's delta mean the same everywhere."""

    def huber(distance: Any) -> Any:
        size = tf.abs(distance)
        return tf.where(size <= loss.delta, 0.5 * distance**2, loss.delta * (size - 0.5 * loss.delta))

    functions: dict[str, Callable[[Any], Any]] = {"mse": tf.square, "mae": tf.abs, "huber": huber}
    function = functions[name]

    def mean(values: Any, y: Any) -> Any:
        return tf.reduce_mean(function((values - tf.reshape(tf.cast(y, values.dtype), tf.shape(values))) / scale))

    return mean


def _balanced(targets: np.ndarray, classes: int) -> np.ndarray:
    """n / (K · n_k), as scikit-learn's `balanced`."""
    counts = np.bincount(targets, minlength=classes).clip(min=1)
    balanced: np.ndarray = len(targets) / (classes * counts)
    return balanced
