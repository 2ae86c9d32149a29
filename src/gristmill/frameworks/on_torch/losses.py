"""Losses by name. A classification loss takes logits [N, K] and classes int64 [N]; a regression loss values [N, 1]; a
forecast's loss values [N, horizon · T] and targets of as many numbers a row."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gristmill.frameworks.scales import target_scale
from gristmill.tasks.recipe import Loss

LossFunction = Callable[[Tensor, Tensor], Tensor]


def build_loss(loss: Loss, name: str, targets: Tensor, classes: int | None) -> LossFunction:
    """Mean loss over a batch; `targets` are the training split's, for class weights and the target's scale."""
    if classes is None:
        return _regression(loss, name, torch.from_numpy(target_scale(targets.cpu().numpy())).to(targets))
    weights = _balanced(targets, classes) if loss.class_weights == "balanced" else None
    if name == "focal":
        return lambda logits, y: _focal(logits, y, loss.gamma, weights)
    if name == "bce":
        return lambda logits, y: F.binary_cross_entropy_with_logits(
            logits, F.one_hot(y, classes).to(logits), weight=weights
        )
    return lambda logits, y: F.cross_entropy(logits, y, weights, label_smoothing=loss.label_smoothing)


def _regression(loss: Loss, name: str, scale: Tensor) -> LossFunction:
    """In units of the target's standard deviation, so that rates and Huber's delta mean the same everywhere."""
    functions: dict[str, LossFunction] = {
        "mse": F.mse_loss,
        "mae": F.l1_loss,
        "huber": lambda a, b: F.huber_loss(a, b, delta=loss.delta),
    }
    function = functions[name]
    return lambda values, y: function(values / scale, y.reshape(values.shape) / scale)


def _focal(logits: Tensor, y: Tensor, gamma: float, weights: Tensor | None) -> Tensor:
    """Lin et al., ICCV 2017, eq. 5: −(1 − p)^γ log p."""
    log_p = F.log_softmax(logits, dim=1)
    chosen = log_p.gather(1, y[:, None])[:, 0]
    focal = -((1 - chosen.exp()) ** gamma) * chosen
    if weights is None:
        return focal.mean()
    return (focal * weights[y]).sum() / weights[y].sum()


def _balanced(targets: Tensor, classes: int) -> Tensor:
    """n / (K · n_k), as scikit-learn's `balanced`."""
    counts = torch.bincount(targets, minlength=classes).clamp(min=1)
    return len(targets) / (classes * counts.float())
