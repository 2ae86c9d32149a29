"""Weights from elsewhere into an architecture of ours: every tensor has its place and shape, or none is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError, safe_open
from torch import nn

from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import Told
from gristmill.frameworks.torch.architectures.shapes import Shapes, build


def adopt(path: Path, task: str, architecture: dict[str, Any], told: Told) -> tuple[dict[str, Any], int]:
    """The architecture as a manifest has it, and its number of parameters. Raises Unprocessable, CorruptBundle."""
    row = told.inputs[0].shape[1:]
    if min(row, default=1) < 1:
        raise Unprocessable("The input's dimensions but the first should be known, as in image:FP32:[-1,3,32,32].",
                            field="inputs")  # fmt: skip
    if task.endswith("-classification") and not told.labels:
        raise Unprocessable("safetensors do not name their classes: give --labels FILE with one name a line.",
                            field="labels")  # fmt: skip
    shapes = Shapes(row, len(told.labels) if told.labels else 1)
    module = build(task, architecture, shapes)
    _check(path, module, str(architecture["name"]))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return {**architecture, "shapes": msgspec.to_builtins(shapes)}, parameters


def _check(path: Path, module: nn.Module, name: str) -> None:
    wanted = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    try:
        with safe_open(str(path), framework="pt") as file:
            found = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptBundle(
            f"{path.name} is not sound: its header and its bytes do not agree.", file=path.name
        ) from error
    for key in sorted(wanted.keys() ^ found.keys()):
        what = "lacks" if key in wanted else "has, beyond it,"
        raise Unprocessable(f"{path.name} holds the weights of another architecture than {name!r}: it {what} {key!r}.",
                            field="architecture")  # fmt: skip
    for key, shape in wanted.items():
        if found[key] != shape:
            raise Unprocessable(
                f"{path.name} holds the weights of another architecture than {name!r}: {key!r} should have the shape "
                f"{list(shape)} and has {list(found[key])}.", field="architecture",
            )  # fmt: skip
