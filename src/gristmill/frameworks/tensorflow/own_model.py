"""A user's own tf.Module: built in the run's process, packaged as a SavedModel that needs no code."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.own_code import build_own, check_model
from gristmill.frameworks.protocol import OwnCode, TrainJob
from gristmill.frameworks.tensorflow.network import TensorFlowNetwork
from gristmill.frameworks.tensorflow.saved_model import read_graph
from gristmill.frameworks.tensorflow.weights import FOLDER, save_network


class OwnNetwork(TensorFlowNetwork):
    """`module(x, training)` gives [N, K]. Its dropout should be stateless for a resumed run to end the same."""

    def __init__(self, module: Any, tokens: bool) -> None:
        super().__init__()
        self.module = module
        self.differentiable = not tokens

    def from_values(self, values: Any, x: Any, seed: Any | None) -> Any:
        return tf.cast(self.module(values, seed is not None), tf.float32)


def build_network(job: TrainJob, architecture: dict[str, Any], shapes: Shapes) -> OwnNetwork:
    """Raises Unprocessable when it does not answer the data's rows with [N, outputs], or is asked for bf16."""
    assert job.own is not None
    if job.recipe.training.precision != "fp32":
        raise Unprocessable("An own model of TensorFlow trains in fp32: cast inside its code.", field="precision")
    module = build_own(job.own, architecture, shapes, tf.Module)
    values = job.train.first(3)
    network = OwnNetwork(module, values.dtype.kind != "f")
    try:
        output = network.forward(tf.constant(values[:3]), None).numpy()  # and its lazy variables are made
    except Exception as error:  # a stranger's code raises whatever it does
        first = str(error).strip().split("\n", 1)[0][:200]
        raise Unprocessable(
            f"The model of {job.own.path.name}:{job.own.function} does not compute with an input of shape "
            f"{[3, *values.shape[1:]]}: {first}", field="model",
        ) from error  # fmt: skip
    check_model(job.own, output, len(network.trainable), shapes)
    _check_exported(job.own, network, values)  # before hours are spent on it
    return network


def _check_exported(code: OwnCode, network: OwnNetwork, values: np.ndarray) -> None:
    """Raises Unprocessable when a SavedModel of it cannot be made, or would reach beyond its graph."""
    row = [None] if not network.differentiable else list(values.shape[1:])
    with tempfile.TemporaryDirectory() as folder:
        try:
            save_network(network, Path(folder), "x", row, values.dtype)
        except Exception as error:  # its tracer raises whatever it meets
            first = str(error).strip().split("\n", 1)[0][:200]
            raise Unprocessable(f"TensorFlow cannot export the model of {code.path.name}:{code.function}, so it could "
                                f"not be served: {first}", field="model") from error  # fmt: skip
        read_graph(Path(folder) / FOLDER)
