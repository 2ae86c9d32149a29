"""Regularisers of the training step: penalties, mixup, the weights' moving average."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from gristmill.frameworks.on_torch.losses import LossFunction
from gristmill.tasks.recipe import Regularisation


def penalty(model: nn.Module, regularisation: Regularisation) -> Tensor:
    """l1 · Σ|w| + l2 · Σw²/2 over weight matrices."""
    weights = [p for p in model.parameters() if p.ndim >= 2]
    total = torch.zeros((), device=weights[0].device)
    if regularisation.l1:
        total = total + regularisation.l1 * torch.stack([w.abs().sum() for w in weights]).sum()
    if regularisation.l2:
        total = total + regularisation.l2 / 2 * torch.stack([w.square().sum() for w in weights]).sum()
    return total


def mixed_loss(model: Callable[[Tensor], Tensor], loss: LossFunction, x: Tensor, y: Tensor, alpha: float) -> Tensor:
    """Mixup (Zhang et al., ICLR 2018): convex pairs of real-valued inputs, the same mixture of losses."""
    seed = int(torch.randint(2**62, ()))  # all chance comes from torch's generator, which the checkpoint holds
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    partner = torch.randperm(len(x), device="cpu").to(x.device)
    output = model(share * x + (1 - share) * x[partner])
    return share * loss(output, y) + (1 - share) * loss(output, y[partner])


class MovingAverage:
    """Exponential moving average of the weights, with the usual warm-up min(decay, (1 + t) / (10 + t))."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))
        real = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([average for average, _ in real], [current for _, current in real], 1 - decay)
        for average, current in pairs:
            if not average.is_floating_point():
                average.copy_(current)
