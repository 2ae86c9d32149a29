"""Tokens → the next one, with Transformers' own classes and new weights."""

from __future__ import annotations

from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.transformers.architectures.spread import spread


def gpt(shapes: Shapes, width: int = 128, heads: int = 4, layers: int = 4, dropout: float = 0.0) -> PreTrainedModel:
    """A decoder as Llama's (Touvron et al. 2023): rotary positions, gated feed-forward, tied embeddings.

    `dropout` is attention's. The context is the length of the training blocks.
    """
    config = LlamaConfig(
        vocab_size=shapes.vocabulary, hidden_size=width, num_attention_heads=heads, num_hidden_layers=layers,
        intermediate_size=round(8 * width / 3 / 32) * 32 or 32, max_position_embeddings=shapes.row[0],
        attention_dropout=dropout, tie_word_embeddings=True, initializer_range=spread(width),
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config)


ARCHITECTURES = {"gpt": gpt}
