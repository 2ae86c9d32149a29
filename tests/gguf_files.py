"""The tiny language model of tests as a `.gguf` file, as llama.cpp's converter would write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter
from transformers import LlamaConfig

from tests import language


def tiny_gguf(path: Path, *, seed: int = 0) -> Path:
    """The same model as llama.cpp's converter would write it: query and key rows in pairs of rotary halves."""
    words = language.tokenizer()
    made = language.model(len(words), seed=seed)
    config, vocabulary = made.config, words.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(language.CONTEXT)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in words.all_special_tokens or token[:2] == "<|" else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in _merges(words)])
    writer.add_eos_token_id(0)
    writer.add_chat_template(language.CHAT_TEMPLATE)
    for name, tensor in made.state_dict().items():
        if name != "lm_head.weight":  # tied
            writer.add_tensor(_name(name), _rows(name, tensor, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "model.layers": "blk",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def _name(name: str) -> str:
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    return name


def _rows(name: str, tensor: torch.Tensor, config: LlamaConfig) -> np.ndarray:
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for part, count in heads.items():
        if part in name:
            tensor = tensor.reshape(count, 2, -1, tensor.shape[1]).swapaxes(1, 2).reshape(tensor.shape)
    return np.ascontiguousarray(tensor.float().numpy())


def _merges(words: Any) -> list[list[str]]:
    merges: list[list[str]] = json.loads(words.backend_tokenizer.to_str())["model"]["merges"]
    return merges
