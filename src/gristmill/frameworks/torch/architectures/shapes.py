"""PyTorch's architectures by name."""

from __future__ import annotations

from typing import Any

from torch import nn

from gristmill.frameworks.architectures import Shapes, build_architecture

__all__ = ["Shapes", "build"]


def build(task: str, architecture: dict[str, Any], shapes: Shapes) -> nn.Module:
    """The module of `architecture` ({"name": ..., options}). Raises Unprocessable naming the option."""
    module: nn.Module = build_architecture(__package__, "PyTorch", task, architecture, shapes)
    return module
