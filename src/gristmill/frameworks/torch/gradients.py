"""Integrated gradients with captum, on the probability that the task answers with (or the value, for regression)."""

from __future__ import annotations

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from torch import Tensor, nn

from gristmill.tasks.protocol import Tensors


def integrated_gradients(
    module: nn.Module, device: torch.device, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int
) -> tuple[Tensors, np.ndarray]:
    """See frameworks/protocol.Differentiable. Token ids are attributed at their embedding, summed over its width."""

    def scores(x: Tensor) -> Tensor:
        output: Tensor = module(x)
        return output.softmax(dim=1) if output.shape[1] > 1 else output

    ((name, values),) = inputs.items()
    x, baseline = (torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in (values, baselines[name]))
    chosen = torch.from_numpy(targets.astype(np.int64)).to(device)
    tokens = not x.is_floating_point()
    method = LayerIntegratedGradients(scores, module.embedding) if tokens else IntegratedGradients(scores)
    with torch.enable_grad():
        attributions, delta = method.attribute(
            x,
            baseline,
            target=chosen,
            n_steps=steps,
            internal_batch_size=max(len(x), 64),
            return_convergence_delta=True,
        )
    result = attributions.sum(dim=-1) if tokens else attributions
    return {name: result.detach().cpu().numpy().astype(np.float32)}, delta.detach().cpu().numpy()
