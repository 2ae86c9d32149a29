"""A model of any family computes in fewer operations what it computed before."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from gristmill.core.errors import Unprocessable
from gristmill.core.generation import Sampling
from gristmill.frameworks.generation import Job
from gristmill.frameworks.transformers.gated import JointGate
from gristmill.frameworks.transformers.generator import TransformersGenerator, with_rows
from gristmill.frameworks.transformers.joint_attention import JointAttention
from gristmill.frameworks.transformers.rewriting import rewritten
from gristmill.frameworks.transformers.rms_norm import MirroredNorm
from tests import language

ALL = {MirroredNorm, JointGate, JointAttention}
SIZES = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256, "initializer_range": 0.2,
    "pad_token_id": None, "bos_token_id": None, "eos_token_id": 0,
}  # fmt: skip
FAMILIES: dict[str, tuple[dict[str, Any], set[type]]] = {
    "llama": ({"attention_bias": True, "mlp_bias": True}, ALL),
    "mistral": ({"sliding_window": 7}, ALL),
    "qwen2": ({}, ALL),
    "qwen3": ({}, ALL),  # norms of each head
    "gemma": ({}, ALL),  # scales by 1 + weight
    "gemma2": ({"attn_logit_softcapping": 0.5, "sliding_window": 7, "query_pre_attn_scalar": 16}, ALL),
    "gpt_oss": ({"num_local_experts": 4, "sliding_window": 7, "attention_bias": True}, {MirroredNorm}),
    "deepseek_v3": (  # a value is narrower than a key
        {
            "n_routed_experts": 4,
            "n_group": 1,
            "topk_group": 1,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "q_lora_rank": 32,
            "kv_lora_rank": 32,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 12,
            "head_dim": 8,
            "num_key_value_heads": 4,
        },
        {MirroredNorm, JointGate},
    ),
    "granite": ({"residual_multiplier": 0.5}, ALL),
    "olmo2": ({}, {MirroredNorm, JointGate}),  # norms over all heads
    "cohere": ({}, {JointGate}),  # turns neighbours, norms by the mean too
    "phi3": ({}, {MirroredNorm}),  # joint already
    "gpt_neox": ({"rotary_pct": 0.5}, set()),
    "gpt2": ({"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256}, set()),
}


def made(family: str) -> Any:
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(family, **{**SIZES, **FAMILIES[family][0]})
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    with torch.no_grad():
        for name, one in model.named_parameters():
            if "norm" in name or "bias" in name:
                one.add_(0.3 * torch.randn_like(one))  # as trained ones: neither 1 nor 0
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_replaced_gives_the_log_probabilities_of_the_untouched_model(family: str) -> None:
    tokens = [(7 * place) % 300 for place in range(40)]
    with torch.inference_mode():
        own = made(family)(torch.tensor([tokens])).logits[0].log_softmax(1)
    generator = TransformersGenerator(made(family), 256, 2**26)
    assert {type(one) for one in generator._model.modules()} & ALL == FAMILIES[family][1]
    given = generator.score(tokens)
    assert given == pytest.approx([float(own[place, token]) for place, token in enumerate(tokens[1:])], abs=1e-3)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3", "gpt_neox", "gemma2", "gpt_oss", "deepseek_v3"])
def test_decoding_gives_generates_tokens(family: str) -> None:
    plain, generator = made(family), TransformersGenerator(made(family), 256, 2**26)
    prompts = [[(3 * place + start) % 300 for place in range(5 + start)] for start in (0, 2, 9)]
    for number, prompt in enumerate(prompts):
        generator.submit(Job(number, prompt, 12, Sampling(temperature=0), frozenset()))
    given: dict[int, list[int]] = {}
    while generator.busy:
        for emission in generator.step():
            given.setdefault(emission.id, []).append(emission.token)
    for number, prompt in enumerate(prompts):
        ids = torch.tensor([prompt])
        own = plain.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False,
                             eos_token_id=None, pad_token_id=0)  # fmt: skip
        assert given[number] == own[0, len(prompt) :].tolist()


@pytest.mark.parametrize(
    ("family", "told"),
    [
        ("lfm2", {"full_attn_idxs": [1]}),
        ("falcon_h1", {"mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 16,
                       "mamba_n_groups": 1, "mamba_chunk_size": 8}),
        ("minimax", {"num_local_experts": 2}),
        ("llama4_text", {"attention_chunk_size": 8, "num_local_experts": 2, "intermediate_size_mlp": 96}),
        ("nemotron", {}),
        ("bloom", {"n_head": 4, "n_layer": 2}),
    ],
)  # fmt: skip
def test_a_family_that_keeps_more_than_keys_and_values_is_refused(family: str, told: dict[str, Any]) -> None:
    config = transformers.AutoConfig.for_model(family, **{**SIZES, **told})
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with pytest.raises(Unprocessable, match="keeps more between tokens than keys and values"):
        TransformersGenerator(model, 256, 2**26)


def test_a_module_that_only_looks_like_another_stays() -> None:
    class Louder(torch.nn.Module):
        """Has what a norm has."""

        def __init__(self, like: Any) -> None:
            super().__init__()
            self.weight, self.eps = like.weight, 1e-6

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 1.1 * x * self.weight

    model = with_rows(language.model(300))
    model.model.norm = Louder(model.model.norm)
    assert isinstance(rewritten(model).model.norm, Louder)


def test_nothing_takes_more_memory_than_before() -> None:
    def size(model: Any) -> int:
        return sum(one.numel() for one in model.parameters())

    model = with_rows(language.model(300))
    before = size(model)
    assert size(rewritten(model)) <= before
