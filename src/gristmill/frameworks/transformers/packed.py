"""Linear layers in bfloat16 on a CPU, their weights laid out once as oneDNN's kernels read them.

Decoding reads every weight for a few rows: a plain layer lays its weight out anew at each call, which takes as long as
the product itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class PackedLinear(nn.Linear):
    """For inference only: `weight` is opaque, in oneDNN's own layout, and has no storage that could be saved."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.weight = nn.Parameter(packed, requires_grad=False)
        self.bias = linear.bias

    def forward(self, input: Tensor) -> Tensor:
        """[…, inputs] → […, outputs]."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(input, self.weight, self.bias, "none", [], "")
        return result


def pack(model: Any) -> Any:
    """The model with its linear layers packed, where that pays: bfloat16 on a CPU that has its instructions."""
    if not torch._C._has_mkldnn or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return model
    for name, module in list(model.named_modules()):
        if type(module) is nn.Linear and module.weight.dtype == torch.bfloat16 and module.weight.device.type == "cpu":
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, PackedLinear(module))
    return model
