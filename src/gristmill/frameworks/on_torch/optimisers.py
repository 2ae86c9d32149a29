"""Optimisers by name. Norms and biases are not decayed."""

from __future__ import annotations

import torch
from torch import nn

from gristmill.tasks.recipe import Optimiser


def build_optimiser(optimiser: Optimiser, model: nn.Module) -> torch.optim.Optimizer:
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": optimiser.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    rate = optimiser.learning_rate
    # fused: one kernel a group instead of a dozen a tensor, on processors too
    if optimiser.name == "sgd":
        return torch.optim.SGD(groups, rate, momentum=optimiser.momentum, nesterov=optimiser.nesterov, fused=True)
    if optimiser.name == "adafactor":
        return torch.optim.Adafactor(groups, rate)
    return torch.optim.AdamW(groups, rate, betas=optimiser.betas, eps=optimiser.eps, fused=True)
