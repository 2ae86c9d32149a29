"""Opening a causal language model's folder: Transformers' own classes, safetensors or GGUF, no remote code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from gristmill.core.errors import CorruptBundle
from gristmill.frameworks.gguf import GGUF
from gristmill.frameworks.transformers.opening import opened


def load_causal(folder: Path, dtype: torch.dtype | None = None) -> Any:
    """In evaluation mode; `dtype` None: bfloat16 where this machine computes in it, else float32.

    Of a `model.gguf` in place of safetensors the weights are dequantised.

    Raises CorruptBundle when the weights are not those of the config's architecture.
    """
    of_gguf = {"gguf_file": GGUF} if (folder / GGUF).is_file() else {}
    model, told = opened(transformers.AutoModelForCausalLM, folder, dtype=dtype or fast_dtype(), **of_gguf)
    if told["missing_keys"] or told["mismatched_keys"]:
        name = min(told["missing_keys"], default=None) or str(next(iter(told["mismatched_keys"])))
        raise CorruptBundle(f"The weights are those of another architecture than config.json names: {name!r} is "
                            "missing or of another shape.", file="config.json")  # fmt: skip
    return model.eval()


def fast_dtype() -> torch.dtype:
    """bfloat16 on a GPU and on a CPU that has its instructions: half the memory to read for each token."""
    if torch.cuda.is_available():
        return torch.bfloat16
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
