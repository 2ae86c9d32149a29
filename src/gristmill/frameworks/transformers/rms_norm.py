"""Root-mean-square norms in two operations instead of eight.

The norm of x is the layer norm of (x, -x): their mean is nought, their variance the mean square of x. PyTorch has one
kernel for the layer norm on a CPU and none for the other. (Zhang, Sennrich, NeurIPS 2019, "Root Mean Square Layer
Normalization")
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

_EPSILONS = ("variance_epsilon", "eps", "epsilon")


class MirroredNorm(nn.Module):
    def __init__(self, scale: Tensor, epsilon: float, dtype: torch.dtype) -> None:
        """`scale` [width]; `dtype`: of what is normed."""
        super().__init__()
        self._epsilon = epsilon
        self._scale = scale.detach().repeat(2, 1)
        self._signs = torch.tensor([[1], [-1]], dtype=dtype, device=scale.device)

    def forward(self, x: Tensor) -> Tensor:
        """[…, width] → […, width]."""
        mirrored = x.unsqueeze(-2) * self._signs
        return layer_norm(mirrored, self._scale.shape, self._scale, None, self._epsilon).select(-2, 0)


def norms_like(module: nn.Module) -> Iterator[nn.Module]:
    """What may compute the same as the module, which has one vector and an epsilon: scaled by it, or by 1 + it."""
    own = dict(module.named_parameters())
    epsilons = [getattr(module, name) for name in _EPSILONS if isinstance(getattr(module, name, None), float)]
    if list(own) == ["weight"] and own["weight"].dim() == 1 and epsilons:
        weight, epsilon = own["weight"], epsilons[0]
        yield MirroredNorm(weight, epsilon, weight.dtype)
        yield MirroredNorm(1 + weight.float(), epsilon, weight.dtype)
