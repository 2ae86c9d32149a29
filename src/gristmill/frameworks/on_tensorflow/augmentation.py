"""Images that are another one each time they are seen: mirrored, moved, with a square blanked."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gristmill.tasks.recipe import Augmentation

_APART = 1_907  # folded into the step's seed: other chance than dropout's and mixup's


def augmented(x: Any, wanted: Augmentation, seed: Any) -> Any:
    """[N, C, H, W] → the same. What comes into view is 0, the mean colour. All chance follows from `seed`."""
    if wanted == Augmentation():
        return x
    seeds = tf.random.experimental.stateless_split(tf.random.experimental.stateless_fold_in(seed, _APART), 5)
    if wanted.flip or wanted.shift:
        x = _moved(x, wanted, seeds)
    return _blanked(x, wanted.erase, seeds) if wanted.erase else x


def _moved(x: Any, wanted: Augmentation, seeds: Any) -> Any:
    """Pixel (r, c) of image n comes from row `rows[n, r]`, column `columns[n, c]`."""
    count, reach, one = tf.shape(x)[0], wanted.shift, [tf.shape(x)[0], 1]
    rows, columns = (tf.tile(tf.range(length)[None], [count, 1]) for length in x.shape[2:])
    if wanted.flip:
        columns = tf.where(tf.random.stateless_uniform(one, seeds[0]) < 0.5, columns[:, ::-1], columns)
    if reach:
        x = tf.pad(x, [[0, 0], [0, 0], [reach, reach], [reach, reach]])
        rows += tf.random.stateless_uniform(one, seeds[1], 0, 2 * reach + 1, tf.int32)
        columns += tf.random.stateless_uniform(one, seeds[2], 0, 2 * reach + 1, tf.int32)
    return tf.gather(tf.gather(x, rows, axis=2, batch_dims=1), columns, axis=3, batch_dims=1)


def _blanked(x: Any, side: int, seeds: Any) -> Any:
    """Cutout (DeVries and Taylor 2017): the square's centre lies anywhere in the image."""
    inside = [_stretch(tf.shape(x)[0], length, side, seeds[3 + place]) for place, length in enumerate(x.shape[2:])]
    return tf.where(inside[0][:, None, :, None] & inside[1][:, None, None, :], tf.zeros_like(x), x)


def _stretch(count: Any, length: int, side: int, seed: Any) -> Any:
    """[count, length]: `side` places that lie around a drawn one."""
    start = tf.random.stateless_uniform([count, 1], seed, 0, length, tf.int32) - side // 2
    places = tf.range(length)
    return (places >= start) & (places < start + side)
