"""What an architecture must know of the data, and how one is built by its name."""

from __future__ import annotations

import importlib
import inspect
import math
from typing import Any

import msgspec
from torch import nn

from gristmill.core.errors import Unprocessable


class Shapes(msgspec.Struct, frozen=True):
    """`row`: shape of one row of the model's input tensor; `vocabulary`: number of token ids, 0 without text."""

    row: tuple[int, ...]
    outputs: int
    vocabulary: int = 0

    @property
    def values(self) -> int:
        return math.prod(self.row)


def build(task: str, architecture: dict[str, Any], shapes: Shapes) -> nn.Module:
    """The module of `architecture` ({"name": ..., options}). Raises Unprocessable naming the option."""
    known = _architectures(task)
    name = architecture.get("name")
    if name not in known:
        raise Unprocessable(
            f"PyTorch has no architecture {name!r} for {task}: it has {', '.join(sorted(known))}.",
            field="architecture.name", got=name, expected=sorted(known),
        )  # fmt: skip
    options = {key: value for key, value in architecture.items() if key != "name"}
    allowed = list(inspect.signature(known[name]).parameters)[1:]
    for option in options:
        if option not in allowed:
            raise Unprocessable(
                f"The architecture {name!r} has no option {option!r}: it has {', '.join(allowed)}.",
                field=f"architecture.{option}", expected=allowed,
            )  # fmt: skip
    try:
        module: nn.Module = known[name](shapes, **options)
    except (TypeError, ValueError, IndexError, AssertionError, RuntimeError) as error:
        raise Unprocessable(f"The architecture {name!r} cannot be built with {options}: {error}.") from None
    return module


def _architectures(task: str) -> dict[str, Any]:
    name = f"gristmill.frameworks.torch.architectures.{task.replace('-', '_')}"
    try:
        architectures: dict[str, Any] = importlib.import_module(name).ARCHITECTURES
    except ModuleNotFoundError:
        raise Unprocessable(f"PyTorch has no architecture for the task {task!r}.", field="task", got=task) from None
    return architectures
