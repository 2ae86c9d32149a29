"""Grammars in vLLM's sampler: before each token is drawn, those that may not come are ruled out in its logits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from gristmill.frameworks.generation import Grammar

_JOB = "gristmill_job"


class Masks(AdapterLogitsProcessor):  # type: ignore[misc]
    """See vLLM's LogitsProcessor; it looks at sequences that have a grammar only."""

    grammars: ClassVar[Mapping[int, Grammar]] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: Any) -> Any:
        grammar = self.grammars.get((params.extra_args or {}).get(_JOB, -1))
        return None if grammar is None else partial(_ruled_out, grammar)


def masking(grammars: Mapping[int, Grammar]) -> type[Masks]:
    """For one engine, with the grammars of its jobs as they come and go; vLLM makes the object itself."""
    return type("MasksOfOneEngine", (Masks,), {"grammars": grammars})


def told(job: int) -> dict[str, Any]:
    """`extra_args` of a job that has a grammar."""
    return {_JOB: job}


def _ruled_out(grammar: Grammar, generated: list[int], logits: Tensor) -> Tensor:
    """`logits` [vocabulary], changed in place."""
    allowed = torch.from_numpy(grammar.allowed()).to(logits.device)
    logits[: len(allowed)].masked_fill_(~allowed[: len(logits)], -torch.inf)
    logits[len(allowed) :] = -torch.inf
    return logits
