"""LoRA adapters on a model of vLLM, whose layers compute together what PEFT knows by several names.

vLLM has LoRA of its own. On a CPU it copies a matrix for each token (at 16 adapters of SmolLM2 some 6 tokens/s), slows
down those that have no adapter, and must know the highest rank when it is loaded; these cost nothing until one comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from vllm.model_executor.layers.linear import LinearBase

from gristmill.frameworks.lora import LowRank, read_lora
from gristmill.frameworks.on_torch import adapters
from gristmill.frameworks.on_torch.adapter_stack import Lora
from gristmill.frameworks.on_torch.adapters import Adapted, check_sizes, matrices, not_adapted, not_there


class _Place(NamedTuple):
    """Where a layer that PEFT names is computed."""

    name: str  # of vLLM's layer
    outputs: slice  # of that layer's


class Adapters(adapters.Adapters):
    """Those on the model of a model runner, by name."""

    stacks = False  # joined matrices are mostly zeros: at 16 streams with 4 adapters 178 ms a step, and 93 one by one

    def __init__(self, runner: Any) -> None:
        super().__init__(runner.device, runner.model_config.dtype)
        self._runner, self._model = runner, runner.model
        self._owners: dict[str, Lora] = {}  # by vLLM's name of the sequence
        self._followed = False

    def begin(self, sequence: str, lora: Lora) -> None:
        """Its tokens are computed with the adapter."""
        self._owners[sequence] = lora
        if not self._followed:
            self._model.register_forward_pre_hook(self._follow, with_kwargs=True)
            self._followed = True

    def end(self, sequence: str) -> None:
        self._owners.pop(sequence, None)

    def _follow(self, model: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Before each step: its sequences stand in the runner's batch one after the other."""
        batch, starts = self._runner.input_batch, self._runner.query_start_loc.np
        owners = map(self._owners.get, batch.req_ids)
        self.lay([(owner, int(end - start)) for owner, (start, end) in zip(owners, pairwise(starts), strict=False)])

    def read(self, folder: Path) -> list[Adapted]:
        layers = read_lora(folder)
        places = {layer: self._fitting(layer) for layer in layers}
        together: dict[str, list[tuple[slice, Tensor, Tensor]]] = {}
        for layer, down, up in matrices(folder, layers):
            together.setdefault(places[layer].name, []).append((places[layer].outputs, down, up))
        modules = {name: self._model.get_submodule(name) for name in together}
        return [Adapted(name, modules[name], *_joined(parts, modules[name].output_size))
                for name, parts in together.items()]  # fmt: skip

    def _fitting(self, layer: LowRank) -> _Place:
        """Raises Unprocessable."""
        parent, _, own = self._renamed(layer.module).rpartition(".")
        for fused, parts in getattr(self._model, "packed_modules_mapping", {}).items():
            if len(parts) > 1 and own in parts and self._has(f"{parent}.{fused}"):
                sizes = self._model.get_submodule(f"{parent}.{fused}").output_sizes
                start, stop = list(pairwise(accumulate(sizes, initial=0)))[parts.index(own)]
                return self._checked(layer, f"{parent}.{fused}", slice(start, stop))
        if not self._has(f"{parent}.{own}"):
            raise not_there(layer)
        return self._checked(layer, f"{parent}.{own}", slice(None))

    def _renamed(self, name: str) -> str:
        """As vLLM calls it, before what it computes together."""
        mapper = getattr(self._model, "hf_to_vllm_mapper", None)
        renamed = mapper.get_rename_mapper().map_name(f"{name}.weight") if mapper else None
        return (renamed or name).removesuffix(".weight")

    def _has(self, name: str) -> bool:
        try:
            self._model.get_submodule(name)
        except AttributeError:
            return False
        return True

    def _checked(self, layer: LowRank, name: str, outputs: slice) -> _Place:
        module = self._model.get_submodule(name)
        if not isinstance(module, LinearBase):
            raise not_adapted(layer)
        check_sizes(layer, module.input_size, len(range(*outputs.indices(module.output_size))))
        return _Place(name, outputs)


def _joined(parts: Iterable[tuple[slice, Tensor, Tensor]], outputs: int) -> tuple[Tensor, Tensor]:
    """One pair of matrices for the layers that are computed together: side by side, and along the diagonal."""
    places, downs, ups = zip(*parts, strict=True)
    up = ups[0].new_zeros(sum(len(one) for one in ups), outputs)
    for (start, stop), place, own in zip(pairwise(accumulate(map(len, ups), initial=0)), places, ups, strict=True):
        up[start:stop, place] = own
    return torch.cat(downs, dim=1), up
