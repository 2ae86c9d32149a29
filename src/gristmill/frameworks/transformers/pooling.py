"""One vector a text, as a sentence-transformers folder says (Reimers and Gurevych, EMNLP 2019, "Sentence-BERT")."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.tasks.protocol import Tensors
from gristmill.tasks.text_embedding import EMBEDDING, TOKENS

MODULES = "modules.json"
_ROWS = 32  # at a time, of like lengths: less is padded than in one batch
_MODES = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max"}


class Pooling(NamedTuple):
    mode: str  # mean, cls, max
    normalise: bool
    longest: int | None  # tokens that the encoder was trained to read


def read_pooling(folder: Path) -> Pooling | None:
    """None where the folder is no sentence-transformers model. Raises Unprocessable for what is not computed here."""
    if not (folder / MODULES).is_file():
        return None
    try:
        listed = json.loads((folder / MODULES).read_text())
        paths = {module["type"].rpartition(".")[2]: module["path"] for module in listed}
        told = json.loads((folder / _inside(paths.get("Pooling")) / "config.json").read_text())
        limits = folder / "sentence_bert_config.json"
        longest = json.loads(limits.read_text()).get("max_seq_length") if limits.is_file() else None
    except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptBundle(f"{MODULES} of the folder, or what it names, is not readable.", file=MODULES) from error
    modules = list(paths)
    strange = [name for name in modules if name not in ("Transformer", "Pooling", "Normalize")]
    modes = [mode for name, mode in _MODES.items() if told.get(name)]
    if strange or len(modes) != 1 or modules[:2] != ["Transformer", "Pooling"]:
        what = strange[0] if strange else "another pooling than mean, cls or max"
        raise Unprocessable(f"The folder's {MODULES} asks for {what}, which is not computed here.", field="source")
    return Pooling(modes[0], "Normalize" in modules, longest if isinstance(longest, int) else None)


def _inside(path: Any) -> str:
    if not isinstance(path, str) or "/" in path or path in ("", "..", "."):
        raise ValueError("a path out of the folder")
    return path


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
