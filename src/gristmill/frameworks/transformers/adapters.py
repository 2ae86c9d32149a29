"""LoRA adapters over one base in one batch: each adds to the rows of its own tokens what it learned.

The base's layers compute all rows together, whoever they belong to; rows of the base alone keep their bits. (Hu et
al., ICLR 2022, "LoRA"; several in one batch: Sheng et al., MLSys 2024, "S-LoRA", Chen et al., MLSys 2024, "Punica".)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.frameworks.lora import ADAPTER_WEIGHTS, LowRank, read_lora


class Lora:
    """One adapter in memory, for as long as a sequence computes with it."""

    def __init__(self, layers: dict[str, tuple[Tensor, Tensor]]) -> None:
        """By module: Aᵀ [inputs, rank] and scale · Bᵀ [rank, outputs]; all in one dtype."""
        self.layers = layers


class _Part(NamedTuple):
    """Tokens of a step that one adapter computes; `places` None: all of them."""

    lora: Lora
    places: Tensor | None


class Adapters:
    """Those on one model, by name."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._loaded: dict[str, Lora] = {}
        self._hooks: dict[str, RemovableHandle] = {}
        self._parts: tuple[_Part, ...] = ()

    def load(self, name: str, folder: Path) -> None:
        """Raises Unprocessable where the adapter does not fit the model, CorruptBundle; then nothing has changed."""
        layers = read_lora(folder)
        modules = {layer.module: self._fitting(layer) for layer in layers}
        lora = Lora({layer.module: pair for layer, pair in _tensors(folder, layers, modules)})
        for module, linear in modules.items():
            if module not in self._hooks:
                self._hooks[module] = linear.register_forward_hook(partial(self._add, module))
        self._loaded[name] = lora

    def unload(self, name: str) -> Lora | None:
        """From now on nobody begins with it; sequences under way keep what they have of it."""
        return self._loaded.pop(name, None)

    def find(self, name: str) -> Lora:
        """Raises Unprocessable."""
        lora = self._loaded.get(name)
        if lora is None:
            raise Unprocessable(f"There is no adapter {name!r} on this model.", field="model")
        return lora

    def lay(self, owners: Sequence[tuple[Lora | None, int]]) -> None:
        """Whose the tokens of the next step are: (adapter, how many tokens), one after the other."""
        self._parts = ()
        if all(lora is None for lora, _ in owners):
            return
        places: dict[Lora | None, list[int]] = {}
        at = 0
        for lora, tokens in owners:
            places.setdefault(lora, []).extend(range(at, at + tokens))
            at += tokens
        device = next(self._model.parameters()).device
        whole = len(places) == 1
        self._parts = tuple(
            _Part(lora, None if whole else torch.tensor(own, device=device))
            for lora, own in places.items()
            if lora is not None
        )

    def _fitting(self, layer: LowRank) -> nn.Linear:
        try:
            module = self._model.get_submodule(layer.module)
        except AttributeError:
            raise Unprocessable(f"The adapter adapts {layer.module!r}, which the base does not have: it was trained on "
                                "another model.", field="adapter") from None  # fmt: skip
        output = getattr(self._model, "get_output_embeddings", lambda: None)()
        if not isinstance(module, nn.Linear) or module is output:
            raise Unprocessable(
                f"The adapter adapts {layer.module!r}, which is no linear layer inside the model: train it on those "
                "alone.", field="adapter",
            )  # fmt: skip
        if (layer.inputs, layer.outputs) != (module.in_features, module.out_features):
            raise Unprocessable(
                f"The adapter's {layer.module!r} goes from {layer.inputs} to {layer.outputs} and the base's from "
                f"{module.in_features} to {module.out_features}: it was trained on another model.", field="adapter",
            )  # fmt: skip
        return module

    def _add(self, name: str, module: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """A forward hook; `inputs` [1, tokens, inputs], `output` [1, tokens, outputs], which it changes in place."""
        for lora, places in self._parts:
            pair = lora.layers.get(name)
            if pair is None:
                continue
            own = inputs[0][0] if places is None else inputs[0][0, places]
            added = (own.to(pair[0].dtype) @ pair[0] @ pair[1]).to(output.dtype)
            if places is None:
                output[0] += added
            else:
                output[0].index_add_(0, places, added)


def _tensors(
    folder: Path, layers: Iterable[LowRank], modules: dict[str, nn.Linear]
) -> Iterable[tuple[LowRank, tuple[Tensor, Tensor]]]:
    file: Any = safe_open(folder / ADAPTER_WEIGHTS, framework="pt")
    for layer in layers:
        like = modules[layer.module].weight
        first, second = (file.get_tensor(layer.key(side)).float() for side in ("A", "B"))
        if not (first.isfinite().all() and second.isfinite().all()):
            raise CorruptBundle(f"The adapter's matrices on {layer.module!r} hold values that are no numbers.",
                                file=ADAPTER_WEIGHTS)  # fmt: skip
        down, up = first.T.contiguous(), (second * layer.scale).T.contiguous()
        # a CPU multiplies matrices this small many times faster in float32 than in bfloat16
        dtype = torch.float32 if like.device.type == "cpu" else like.dtype
        yield layer, (down.to(like.device, dtype), up.to(like.device, dtype))
