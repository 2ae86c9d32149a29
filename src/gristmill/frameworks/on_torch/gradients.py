"""What integrated gradients share in PyTorch: the scores that are explained, and how many rows are taken at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gristmill.frameworks.rows import gradient_rows
from gristmill.tasks.protocol import Tensors

# (inputs, baselines, targets, rows at once) → attributions of the inputs' shape, and convergence deltas [N]
Attribute = Callable[[Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]


def by_parts(
    attribute: Attribute, device: torch.device, inputs: Tensors, baselines: Tensors, targets: np.ndarray, width: int = 1
) -> tuple[Tensors, np.ndarray]:
    """See frameworks/protocol.Differentiable. `width`: of the embedding of token ids."""
    ((name, values),) = inputs.items()
    at_once = gradient_rows(values[0].size * width * 4)
    x, baseline, chosen = (torch.split(torch.from_numpy(np.ascontiguousarray(array)).to(device), at_once)
                           for array in (values, baselines[name], targets.astype(np.int64)))  # fmt: skip
    found = [attribute(*part, at_once) for part in zip(x, baseline, chosen, strict=True)]
    attributions, deltas = (np.concatenate([part.detach().cpu().numpy() for part in parts])
                            for parts in zip(*found, strict=True))  # fmt: skip
    return {name: attributions.astype(np.float32)}, deltas


def probabilities(output: Tensor, scores: str) -> Tensor:
    """What a task answers with of its model's output [N, K]; `scores`: see frameworks/scores.py."""
    if scores == "probability":
        return torch.cat([1 - output, output], dim=1)
    if scores == "independent-logits":
        return output.sigmoid()
    return output.softmax(dim=1) if scores == "logits" and output.shape[1] > 1 else output
