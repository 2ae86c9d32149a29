"""What a language model in training goes on to write."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gristmill.tasks.language.tokenizer import LanguageTokenizer

_PROMPT, _NEW = 16, 120  # tokens
_SEED = 1916


@torch.no_grad()
def sample(model: Any, blocks: Tensor, tokenizer: LanguageTokenizer) -> str:
    """The beginning of a held-out block, and what the model makes of it at temperature 0.8, with the same chance."""
    torch.manual_seed(_SEED)
    prompt = blocks[:1, : min(_PROMPT, blocks.shape[1] // 2)]
    most = min(_NEW, blocks.shape[1] - prompt.shape[1])
    made = model.eval().generate(
        input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=most, do_sample=True,
        temperature=0.8, top_k=0, pad_token_id=0, eos_token_id=sorted(tokenizer.ends) or None,
    )  # fmt: skip
    return tokenizer.decode(made[0].tolist())
