"""Integrated gradients with captum, on the probability that the task answers with (or the value, for regression)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gristmill.frameworks.on_torch.gradients import by_parts, probabilities
from gristmill.tasks.protocol import Tensors


def integrated_gradients(
    module: Any, device: torch.device, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int,
    scores: str = "logits",
) -> tuple[Tensors, np.ndarray]:  # fmt: skip
    """See frameworks/protocol.Differentiable. Token ids are attributed at `module.embedding`, summed over its width.

    `scores`: see frameworks/scores.py.
    """
    from captum.attr import IntegratedGradients, LayerIntegratedGradients  # half a second that few workers need

    tokens = next(iter(inputs.values())).dtype.kind == "i"

    def answer(x: Tensor) -> Tensor:
        return probabilities(module(x), scores)

    method = LayerIntegratedGradients(answer, module.embedding) if tokens else IntegratedGradients(answer)

    def attribute(x: Tensor, baseline: Tensor, chosen: Tensor, at_once: int) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            found = method.attribute(
                x, baseline, target=chosen, n_steps=steps, internal_batch_size=max(len(x), at_once)
            ).detach()  # fmt: skip
        with torch.no_grad():
            start = _with_embedding_of(module, baseline, lambda: answer(x)) if tokens else answer(baseline)
            gain = (answer(x) - start).gather(1, chosen[:, None])[:, 0]
        return (found.sum(dim=-1) if tokens else found), found.flatten(1).sum(dim=1) - gain

    width = module.embedding.embedding_dim if tokens else 1
    return by_parts(attribute, device, inputs, baselines, targets, width)


def _with_embedding_of(module: nn.Module, tokens: Tensor, call: Callable[[], Tensor]) -> Tensor:
    """`call` where the embedding gives that of `tokens`: the path's start keeps the text's length and its mask."""
    embedding: Any = module.embedding
    embedded = nn.functional.embedding(tokens, embedding.weight)
    handle = embedding.register_forward_hook(lambda *_: embedded)
    try:
        return call()
    finally:
        handle.remove()
