"""Integrated gradients with captum, on the probability that a classifier answers with: by token or by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from torch import Tensor

from gristmill.frameworks.on_torch.gradients import by_parts, probabilities
from gristmill.tasks.protocol import Tensors


def integrated_gradients(
    model: Any, scores: str, padding: int, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int
) -> tuple[Tensors, np.ndarray]:
    """See frameworks/protocol.Differentiable. Tokens are attributed at their embedding, summed over its width.

    The mask is the text's own on the whole way: a text of padding alone would attend to nothing.
    """
    tokens = "tokens" in inputs
    embeddings = model.get_input_embeddings() if tokens else None

    def answer(given: Tensor, mask: Tensor | None = None) -> Tensor:
        output = model(input_ids=given, attention_mask=mask) if tokens else model(pixel_values=given)
        return probabilities(output.logits, scores)

    method = LayerIntegratedGradients(answer, embeddings) if tokens else IntegratedGradients(answer)

    def attribute(x: Tensor, baseline: Tensor, chosen: Tensor, at_once: int) -> tuple[Tensor, Tensor]:
        extra = {"additional_forward_args": ((x != padding).long(),)} if tokens else {}
        with torch.enable_grad():
            found, delta = method.attribute(
                x, baseline, target=chosen, n_steps=steps, internal_batch_size=max(len(x), at_once),
                return_convergence_delta=True, **extra,
            )  # fmt: skip
        return (found.sum(dim=-1) if tokens else found), delta

    width = embeddings.embedding_dim if embeddings is not None else 1
    return by_parts(attribute, next(model.parameters()).device, inputs, baselines, targets, width)
