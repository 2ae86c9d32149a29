"""Attention of Llama and its kin: query, key and value are one product, and query and key turn together in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from gristmill.frameworks.transformers.joint import Joint, joins
from gristmill.frameworks.transformers.reading import Scores
from gristmill.frameworks.transformers.step import Step

_PROJECTIONS = ("q_proj", "k_proj", "v_proj")
_NORMS = ("q_norm", "k_norm")  # of each head, before it turns


class JointAttention(nn.Module):
    def __init__(self, module: Any, scores: Scores) -> None:
        super().__init__()
        self.layer_idx: int = module.layer_idx
        self._width: int = module.head_dim
        self._scores = scores
        self.joint = Joint([getattr(module, name) for name in _PROJECTIONS])
        self.q_proj, self.k_proj, self.v_proj = self.joint.parts
        self.o_proj = module.o_proj
        self._normed = hasattr(module, "q_norm")
        if self._normed:
            self.q_norm, self.k_norm = module.q_norm, module.k_norm

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        *,
        step: Step,
        **told: Any,
    ) -> tuple[Tensor, None]:
        """[1, tokens, width] → the same."""
        heads = self.joint(hidden_states)[0].unflatten(-1, (-1, self._width))
        queries = self.q_proj.out_features // self._width
        turning = queries + self.k_proj.out_features // self._width
        if self._normed:
            heads[:, :queries] = self.q_norm(heads[:, :queries])
            heads[:, queries:turning] = self.k_norm(heads[:, queries:turning])
        step.rotation(*position_embeddings).turn(heads[:, :turning])
        seen = step.attend(
            self.layer_idx, heads[:, :queries], heads[:, queries:turning], heads[:, turning:], self._scores
        )
        return self.o_proj(seen.flatten(1)[None]), None


def attentions_like(module: nn.Module, scores: Scores) -> Iterator[nn.Module]:
    names = {name for name, _ in module.named_children()}
    known = names in ({*_PROJECTIONS, "o_proj"}, {*_PROJECTIONS, "o_proj", *_NORMS})
    if known and hasattr(module, "head_dim") and joins([getattr(module, name) for name in _PROJECTIONS]):
        yield JointAttention(module, scores)
