"""A model's modules of many small operations replaced by modules of few, wherever those prove to give the same.

A decoding step reads each weight once for a few tokens: between the products, what counts is how many operations there
are. A replacement is proposed by what a module has, not by its class, and taken when it repeats, on the module's own
inputs in a probe, what the module gave; else the module stays. So a model of any family computes as before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gristmill.frameworks.transformers.gated import gates_like
from gristmill.frameworks.transformers.joint_attention import attentions_like
from gristmill.frameworks.transformers.reading import Scores
from gristmill.frameworks.transformers.rms_norm import norms_like
from gristmill.frameworks.transformers.rows import Rows
from gristmill.frameworks.transformers.step import Piece, Step

_log = logging.getLogger(__name__)
_TOKENS = 16
_MEMORY = 2**20

Proposals = Callable[[nn.Module], Iterator[nn.Module]]


class _Call(NamedTuple):
    args: tuple[Any, ...]
    told: dict[str, Any]
    output: Any


class _Probe(Step):
    """Remembers what each layer makes of its scores."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(Rows(1, _MEMORY, dtype, device), (), (Piece(0, 0, _TOKENS),))
        self.told: dict[int, Scores] = {}

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        self.told[layer] = scores
        return super().attend(layer, query, key, value, scores)


@torch.no_grad()
def rewritten(model: Any) -> Any:
    """The model, whose attention goes over rows, with what could be replaced; nothing takes more memory than before."""
    parameter = next(model.parameters())
    probe = _Probe(parameter.dtype, parameter.device)
    calls = _record(model, probe)

    def attentions(module: nn.Module) -> Iterator[nn.Module]:
        told = probe.told.get(getattr(module, "layer_idx", -1))
        return attentions_like(module, told) if told else iter(())

    kinds: tuple[Proposals, ...] = (norms_like, gates_like, attentions)  # norms first: attention may hold some
    count = sum(_replace(model, calls, proposals) for proposals in kinds)
    _log.info("%d modules compute in fewer operations", count)
    return model


def _record(model: Any, probe: _Probe) -> dict[str, _Call]:
    """What every module was called with, by its name."""
    calls: dict[str, _Call] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], told: dict[str, Any], output: Any) -> None:
            calls[name] = _Call(args, told, output)

        return hook

    hooks = [one.register_forward_hook(keep(name), with_kwargs=True) for name, one in model.named_modules() if name]
    tokens = torch.arange(_TOKENS, device=model.device) % model.config.get_text_config().vocab_size
    places = torch.arange(_TOKENS, device=model.device)
    model(input_ids=tokens[None], position_ids=places[None], use_cache=False, logits_to_keep=1, step=probe)
    for hook in hooks:
        hook.remove()
    return calls


def _replace(model: Any, calls: dict[str, _Call], proposals: Proposals) -> int:
    count = 0
    for name in calls:
        made = next((one for one in proposals(model.get_submodule(name)) if _agrees(one, calls[name])), None)
        if made is not None:
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, made.eval())
            count += 1
    return count


def _agrees(made: nn.Module, call: _Call) -> bool:
    """Within the rounding of the number format, over all values together."""
    try:
        given = made(*call.args, **call.told)
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError):
        return False
    own, other = (one[0] if isinstance(one, tuple) else one for one in (given, call.output))
    if own.shape != other.shape or own.dtype != other.dtype:
        return False
    off = (own.double() - other.double()).norm() / other.double().norm()
    return bool(off <= max(torch.finfo(own.dtype).eps, 1e-5))
