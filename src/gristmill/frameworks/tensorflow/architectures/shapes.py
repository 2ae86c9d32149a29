"""TensorFlow's architectures by name."""

from __future__ import annotations

from typing import Any

from gristmill.frameworks.architectures import Shapes, build_architecture
from gristmill.frameworks.tensorflow.network import TensorFlowNetwork


def build(task: str, architecture: dict[str, Any], shapes: Shapes) -> TensorFlowNetwork:
    """The module of `architecture` ({"name": ..., options}). Raises Unprocessable naming the option."""
    network: TensorFlowNetwork = build_architecture(__package__, "TensorFlow", task, architecture, shapes)
    return network
