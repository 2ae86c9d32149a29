"""The gated layers of Llama and its kin (Shazeer 2020, "GLU Variants Improve Transformer"): gate and rise are one
product."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from gristmill.frameworks.transformers.joint import Joint, joins


class JointGate(nn.Module):
    def __init__(self, module: Any) -> None:
        super().__init__()
        self.joint = Joint((module.gate_proj, module.up_proj))
        self.gate_proj, self.up_proj = self.joint.parts
        self.down_proj, self.act_fn = module.down_proj, module.act_fn

    def forward(self, x: Tensor) -> Tensor:
        """[…, width] → […, width]."""
        both = self.joint(x)
        gated: Tensor = self.act_fn(both[..., self.gate_proj.columns]) * both[..., self.up_proj.columns]
        result: Tensor = self.down_proj(gated)
        return result


def gates_like(module: Any) -> Iterator[nn.Module]:
    names = {name for name, _ in module.named_children()}
    if {"gate_proj", "up_proj", "down_proj", "act_fn"} == names and joins((module.gate_proj, module.up_proj)):
        yield JointGate(module)
