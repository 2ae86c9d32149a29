"""Integrated gradients with captum, on the probability that the task answers with (or the value, for regression)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gristmill.tasks.protocol import Tensors


def integrated_gradients(
    module: nn.Module, device: torch.device, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int
) -> tuple[Tensors, np.ndarray]:
    """See frameworks/protocol.Differentiable. Token ids are attributed at their embedding, summed over its width."""
    from captum.attr import IntegratedGradients, LayerIntegratedGradients  # half a second that few workers need

    def scores(x: Tensor) -> Tensor:
        output: Tensor = module(x)
        return output.softmax(dim=1) if output.shape[1] > 1 else output

    ((name, values),) = inputs.items()
    x, baseline = (torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in (values, baselines[name]))
    chosen = torch.from_numpy(targets.astype(np.int64)).to(device)
    tokens = not x.is_floating_point()
    method = LayerIntegratedGradients(scores, module.embedding) if tokens else IntegratedGradients(scores)
    with torch.enable_grad():
        attributions = method.attribute(
            x, baseline, target=chosen, n_steps=steps, internal_batch_size=max(len(x), 64)
        ).detach()
    with torch.no_grad():
        start = _with_embedding_of(module, baseline, lambda: scores(x)) if tokens else scores(baseline)
        gain = (scores(x) - start).gather(1, chosen[:, None])[:, 0]
    result = attributions.sum(dim=-1) if tokens else attributions
    delta = attributions.flatten(1).sum(dim=1) - gain
    return {name: result.cpu().numpy().astype(np.float32)}, delta.cpu().numpy()


def _with_embedding_of(module: nn.Module, tokens: Tensor, call: Callable[[], Tensor]) -> Tensor:
    """`call` where the embedding gives that of `tokens`: the path's start keeps the text's length and its mask."""
    embedding: Any = module.embedding
    embedded = nn.functional.embedding(tokens, embedding.weight)
    handle = embedding.register_forward_hook(lambda *_: embedded)
    try:
        return call()
    finally:
        handle.remove()
