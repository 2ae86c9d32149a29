from __future__ import annotations

import pytest
import torch
from torch import nn

from gristmill.frameworks.transformers.packed import PackedLinear, pack
from tests import language

VOCABULARY = 320
packs = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this CPU has no bfloat16 instructions"
)


@packs
@pytest.mark.parametrize("rows", [1, 3, 16, 100])
@pytest.mark.parametrize("bias", [False, True])
def test_a_packed_layer_gives_what_the_plain_one_gives(rows: int, bias: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(96, 160, bias=bias).bfloat16().requires_grad_(False)
    x = torch.randn(1, rows, 96).bfloat16()
    exact = nn.functional.linear(x.double(), plain.weight.double(), plain.bias.double() if bias else None)
    for layer in (plain, PackedLinear(plain)):
        assert torch.allclose(layer(x).double(), exact, atol=1e-2, rtol=2**-7)


@packs
@torch.inference_mode()
def test_a_packed_model_keeps_its_embedding_and_its_logits() -> None:
    plain = language.model(VOCABULARY, dtype=torch.bfloat16)
    packed = pack(language.model(VOCABULARY, dtype=torch.bfloat16))
    assert {type(one) for one in packed.modules() if isinstance(one, nn.Linear)} == {PackedLinear}
    ids = torch.arange(40)[None] * 7
    assert torch.allclose(packed(ids).logits, plain(ids).logits, atol=0.1, rtol=0.02)
    assert torch.equal(packed.get_input_embeddings().weight, plain.get_input_embeddings().weight)


def test_other_number_formats_stay_as_they_are() -> None:
    model = pack(language.model(VOCABULARY))
    assert {type(one) for one in model.modules() if isinstance(one, nn.Linear)} == {nn.Linear}
