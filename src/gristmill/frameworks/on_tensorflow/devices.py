"""The process's devices, threads and chance, set once before TensorFlow computes anything."""

from __future__ import annotations

import os
from typing import Any

from gristmill.core.types import Resources

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # warnings and worse; read when TensorFlow is imported

import tensorflow as tf


def use_granted(resources: Resources) -> None:
    """As many threads as granted cores, no GPU that was not granted, GPU memory taken as needed."""
    cores = max(1, int(resources.cores))
    try:
        tf.config.threading.set_intra_op_parallelism_threads(cores)
        tf.config.threading.set_inter_op_parallelism_threads(cores)
        gpus = tf.config.list_physical_devices("GPU")[: resources.gpus]
        tf.config.set_visible_devices(gpus, "GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        return  # TensorFlow fixes them at its first computation: a process has one grant


def strategy() -> Any:
    """One device as it is; several share each step's rows, with their variables mirrored."""
    several = len(tf.config.list_logical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def summed(values: Any) -> Any:
    """Over the devices that compute a step."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def make_deterministic(seed: int) -> None:
    """The same operations in the same order, and Python's, NumPy's and TensorFlow's chance from `seed`."""
    tf.keras.utils.set_random_seed(seed % 2**32)
    tf.config.experimental.enable_op_determinism()
