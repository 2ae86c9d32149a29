"""One vector a text: its hidden states pooled (Reimers and Gurevych, EMNLP 2019, "Sentence-BERT")."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gristmill.frameworks.transformers.pooling import Pooling
from gristmill.tasks.protocol import Tensors
from gristmill.tasks.text_embedding import EMBEDDING, TOKENS

_ROWS = 32  # at a time, of like lengths: less is padded than in one batch


def embed(model: Any, tokens: np.ndarray, padding: int, pooling: Pooling, device: torch.device) -> Tensors:
    """int64 [N, T] → `embedding` float32 [N, D] and `tokens` int64 [N]."""
    lengths = (tokens != padding).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    vectors: np.ndarray | None = None
    for start in range(0, len(order), _ROWS):
        rows = order[start : start + _ROWS]
        longest = max(1, int(lengths[rows].max()))
        ids = torch.from_numpy(np.ascontiguousarray(tokens[rows, :longest])).to(device)
        mask = (ids != padding).long()
        states = model(input_ids=ids, attention_mask=mask)[0]
        pooled = _pooled(states, mask, pooling).float().cpu().numpy()
        if vectors is None:
            vectors = np.empty((len(tokens), pooled.shape[1]), np.float32)
        vectors[rows] = pooled
    assert vectors is not None
    return {EMBEDDING: vectors, TOKENS: lengths.astype(np.int64)}


def _pooled(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    seen = mask[..., None].to(states.dtype)
    if pooling.mode == "cls":
        pooled = states[:, 0]
    elif pooling.mode == "max":
        pooled = states.masked_fill(seen == 0, -1e9).max(dim=1).values
    else:
        pooled = (states * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1e-9)
    return torch.nn.functional.normalize(pooled, dim=1) if pooling.normalise else pooled
