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
from gristmill.frameworks.transformers.adapter_stack import Lora, Stack


class _Part(NamedTuple):
    """Tokens of a step that one adapter computes; `places` None: all of them."""

    lora: Lora
    places: Tensor | None


class _Mixed(NamedTuple):
    """Single tokens of several adapters."""

    stack: Stack
    places: Tensor
    which: Tensor  # adapter of each, by its number in the stack


class Adapters:
    """Those on one model, by name."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._device = next(model.parameters()).device
        self._loaded: dict[str, Lora] = {}
        self._hooks: dict[str, RemovableHandle] = {}
        self._parts: tuple[_Part, ...] = ()
        self._mixed: _Mixed | None = None
        self._stack = Stack()

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
        self._stack = Stack()
        return self._loaded.pop(name, None)

    def find(self, name: str) -> Lora:
        """Raises Unprocessable."""
        lora = self._loaded.get(name)
        if lora is None:
            raise Unprocessable(f"There is no adapter {name!r} on this model.", field="model")
        return lora

    def lay(self, owners: Sequence[tuple[Lora | None, int]]) -> None:
        """Whose the tokens of the next step are: (adapter, how many tokens), one after the other."""
        self._parts, self._mixed = (), None
        if all(lora is None for lora, _ in owners):
            return
        singles: list[tuple[Lora, int]] = []
        places: dict[Lora | None, list[int]] = {}
        at = 0
        mixed = len({lora for lora, tokens in owners if tokens == 1 and lora is not None}) > 1
        for lora, tokens in owners:
            if mixed and tokens == 1 and lora is not None:
                singles.append((lora, at))
            else:
                places.setdefault(lora, []).extend(range(at, at + tokens))
            at += tokens
        self._lay_singles(singles)
        whole = len(places) == 1 and not singles
        self._parts = tuple(
            _Part(lora, None if whole else torch.tensor(own, device=self._device))
            for lora, own in places.items()
            if lora is not None
        )

    def _lay_singles(self, singles: Sequence[tuple[Lora, int]]) -> None:
        if singles:
            self._stack = self._stack.holding(lora for lora, _ in singles)
            places, which = [at for _, at in singles], self._stack.numbers(lora for lora, _ in singles)
            self._mixed = _Mixed(
                self._stack, torch.tensor(places, device=self._device), torch.tensor(which, device=self._device)
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
        if self._mixed is not None:
            stack, singles, which = self._mixed
            of_singles = stack.add(name, inputs[0][0, singles], which)
            if of_singles is not None:
                output[0].index_add_(0, singles, of_singles.to(output.dtype))
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
