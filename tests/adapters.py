"""LoRA adapters for tests, as PEFT saves them, and what PEFT itself answers with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from tests import language

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def save(
    where: Path,
    vocabulary: int,
    *,
    seed: int,
    rank: int = 4,
    targets: Sequence[str] = TARGETS,
    head: int = 16,
    **more: Any,
) -> Path:
    """A random adapter of the tiny model, strong enough to change what it says."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(targets), task_type="CAUSAL_LM", **more)
    model = get_peft_model(language.model(vocabulary, head=head), config)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.15)
    model.save_pretrained(where)
    return where


def opened(vocabulary: int, folder: Path, head: int = 16) -> Any:
    """The tiny model with the adapter, by PEFT."""
    return PeftModel.from_pretrained(language.model(vocabulary, head=head), folder).eval()


def greedy(model: Any, tokens: Sequence[int], count: int) -> list[int]:
    """Transformers' own `generate`."""
    with torch.inference_mode():
        prompt = torch.tensor([list(tokens)])
        given = model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=count, do_sample=False,
            eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
    return [int(token) for token in given[0, len(tokens) :]]
