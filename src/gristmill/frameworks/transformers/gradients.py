"""Integrated gradients with captum, on the probability that a classifier answers with: by token or by pixel."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from torch import Tensor

from gristmill.tasks.protocol import Tensors


def integrated_gradients(
    model: Any, scores: str, padding: int, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int
) -> tuple[Tensors, np.ndarray]:
    """See frameworks/protocol.Differentiable. Tokens are attributed at their embedding, summed over its width.

    `scores`: core/types.Signature.scores. The mask is the text's own on the whole way: a text of padding alone would
    attend to nothing.
    """
    ((name, values),) = inputs.items()
    device = next(model.parameters()).device
    x, baseline = (torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in (values, baselines[name]))
    chosen = torch.from_numpy(targets.astype(np.int64)).to(device)
    tokens = name == "tokens"
    activation = torch.sigmoid if scores == "independent-logits" else partial(torch.softmax, dim=1)

    def answer(given: Tensor, mask: Tensor | None = None) -> Tensor:
        output = model(input_ids=given, attention_mask=mask) if tokens else model(pixel_values=given)
        result: Tensor = activation(output.logits)
        return result

    embeddings = model.get_input_embeddings() if tokens else None
    method = LayerIntegratedGradients(answer, embeddings) if tokens else IntegratedGradients(answer)
    extra = {"additional_forward_args": ((x != padding).long(),)} if tokens else {}
    with torch.enable_grad():
        attributions, delta = method.attribute(
            x, baseline, target=chosen, n_steps=steps, internal_batch_size=max(len(x), 64),
            return_convergence_delta=True, **extra,
        )  # fmt: skip
    result = attributions.sum(dim=-1) if tokens else attributions
    return {name: result.detach().cpu().numpy().astype(np.float32)}, delta.detach().cpu().numpy()
