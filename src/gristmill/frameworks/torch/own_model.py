"""A user's own module: built in the run's process, packaged as a program of torch.export that needs no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.own_code import build_own, check_model
from gristmill.frameworks.protocol import OwnCode

_PROGRAM = "model.pt2"


def build_module(code: OwnCode, architecture: dict[str, Any], shapes: Shapes, example: torch.Tensor) -> nn.Module:
    """Raises Unprocessable when it does not answer `example` with [N, outputs], or cannot be exported."""
    module: nn.Module = build_own(code, architecture, shapes, nn.Module)
    try:
        with torch.inference_mode():
            output = module.eval()(example).float().numpy()
    except Exception as error:  # a stranger's code raises whatever it does
        first = str(error).strip().split("\n", 1)[0][:200]
        raise Unprocessable(
            f"The model of {code.path.name}:{code.function} does not compute with an input of shape "
            f"{list(example.shape)}: {first}", field="model",
        ) from error  # fmt: skip
    check_model(code, output, sum(parameter.requires_grad for parameter in module.parameters()), shapes)
    _exported(module, example)  # before hours are spent on it
    return module


def save_program(module: nn.Module, example: torch.Tensor, folder: Path, name: str) -> dict[str, Any]:
    """Write `folder/model.pt2`; the architecture as the runtime `torch-export` reads it."""
    torch.export.save(_exported(module, example), folder / _PROGRAM)
    return {"name": "exported-program", "inputs": [name]}


def _exported(module: nn.Module, example: torch.Tensor) -> torch.export.ExportedProgram:
    """The batch is free, and the length of tokens."""
    free: dict[int, Any] = {0: torch.export.Dim.DYNAMIC}
    if not example.is_floating_point():
        free[1] = torch.export.Dim.DYNAMIC
    try:
        return torch.export.export(module.eval(), (example,), dynamic_shapes=(free,))
    except Exception as error:  # its tracer raises whatever it meets
        first = str(error).strip().split("\n", 1)[0][:200]
        raise Unprocessable(f"PyTorch cannot export the model, so it could not be served: {first}",
                            field="model") from error  # fmt: skip
