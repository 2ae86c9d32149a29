"""A trained network as a SavedModel: graphs and numbers, so that serving and explaining need no code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle
from gristmill.frameworks.tensorflow.network import TensorFlowNetwork
from gristmill.frameworks.tensorflow.saved_model import SERVING, read_graph

FOLDER = "saved_model"
_PLACE = f"weights/{FOLDER}"


class Exported(tf.Module):
    """`embed` and `from_values` stand apart so that gradients can be taken between them."""

    def __init__(self, network: TensorFlowNetwork, name: str, row: Sequence[int | None], dtype: Any) -> None:
        super().__init__()
        self._network = network
        given = tf.TensorSpec([None, *row], dtype, name)
        self.serve = tf.function(lambda x: {"output": network.forward(x, None)}, input_signature=[given])
        if not network.differentiable:
            return
        values = tf.TensorSpec(network.embed(tf.zeros([1, *(size or 1 for size in row)], dtype)).shape, tf.float32)
        open_values = tf.TensorSpec([None, *(row if values.shape[1:] == row else [None, values.shape[-1]])], tf.float32)
        self.embed = tf.function(network.embed, input_signature=[given])
        self.from_values = tf.function(
            lambda values, x: network.from_values(values, x, None), input_signature=[open_values, given]
        )


def save_network(network: TensorFlowNetwork, folder: Path, name: str, row: Sequence[int | None], dtype: Any) -> None:
    """Write `folder/saved_model` with the signature `serving_default`."""
    exported = Exported(network, name, row, dtype)
    signatures = {SERVING: exported.serve.get_concrete_function()}
    tf.saved_model.save(exported, str(folder / FOLDER), signatures)


def load_saved_model(bundle: Path, manifest: Manifest) -> Any:
    """Its graph is checked before TensorFlow opens it. Raises CorruptBundle, Unprocessable naming the operator."""
    read_graph(bundle / _PLACE)
    try:
        return tf.saved_model.load(str(bundle / _PLACE))
    except (tf.errors.OpError, OSError, LookupError, ValueError) as error:
        raise CorruptBundle(f"{_PLACE} cannot be opened as a SavedModel.", file=_PLACE) from error
