"""LoRA adapters over one base in one batch: each adds to the rows of its own tokens what it learned.

The base's layers compute all rows together, whoever they belong to; rows of the base alone keep their bits. (Hu et
al., ICLR 2022, "LoRA"; several in one batch: Sheng et al., MLSys 2024, "S-LoRA", Chen et al., MLSys 2024, "Punica".)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.frameworks.lora import ADAPTER_WEIGHTS, LowRank
from gristmill.frameworks.on_torch.adapter_stack import Lora, Stack


class Adapted(NamedTuple):
    """A layer of the model, and what an adapter adds to its outputs."""

    name: str
    module: nn.Module
    down: Tensor  # Aᵀ: float32 [inputs, rank]
    up: Tensor  # scale · Bᵀ: float32 [rank, outputs]


class _Part(NamedTuple):
    """Tokens of a step that one adapter computes; `places` None: all of them."""

    lora: Lora
    places: Tensor | None


class _Mixed(NamedTuple):
    """Single tokens of several adapters."""

    stack: Stack
    places: Tensor
    which: Tensor  # adapter of each, by its number in the stack


class Adapters(ABC):
    """Those on one model, by name."""

    stacks: ClassVar[bool] = True  # single tokens of several adapters multiply with theirs in one call

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        """`dtype`: the model's."""
        self._device = device
        # a CPU multiplies matrices this small many times faster in float32 than in bfloat16
        self._dtype = torch.float32 if device.type == "cpu" else dtype
        self._loaded: dict[str, Lora] = {}
        self._hooks: dict[str, RemovableHandle] = {}
        self._parts: tuple[_Part, ...] = ()
        self._mixed: _Mixed | None = None
        self._stack = Stack()

    @abstractmethod
    def read(self, folder: Path) -> list[Adapted]:
        """Each layer once. Raises Unprocessable where the adapter does not fit the model, CorruptBundle."""

    def load(self, name: str, folder: Path) -> None:
        """Raises what `read` raises; then nothing has changed."""
        layers = self.read(folder)
        lora = Lora({one.name: (self._held(one.down), self._held(one.up)) for one in layers})
        for one in layers:
            if one.name not in self._hooks:
                self._hooks[one.name] = one.module.register_forward_hook(partial(self._add, one.name))
        self._loaded[name] = lora

    def _held(self, matrix: Tensor) -> Tensor:
        return matrix.contiguous().to(self._device, self._dtype)

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
        mixed = self.stacks and len({lora for lora, tokens in owners if tokens == 1 and lora is not None}) > 1
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

    def _add(self, name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        """A forward hook: changes the output's rows in place."""
        if self._mixed is None and not self._parts:
            return
        given, rows = _rows(inputs[0]), _rows(output)
        if self._mixed is not None:
            stack, singles, which = self._mixed
            of_singles = stack.add(name, given[singles], which)
            if of_singles is not None:
                rows.index_add_(0, singles, of_singles.to(rows.dtype))
        for lora, places in self._parts:
            pair = lora.layers.get(name)
            if pair is None:
                continue
            own = given if places is None else given[places]
            added = (own.to(pair[0].dtype) @ pair[0] @ pair[1]).to(rows.dtype)
            if places is None:
                rows += added
            else:
                rows.index_add_(0, places, added)


def _rows(values: Any) -> Tensor:
    """[tokens, width] of a layer's values: [1, tokens, width], or [tokens, width], or such with a bias beside."""
    rows: Tensor = values[0] if isinstance(values, tuple) else values
    return rows[0] if rows.dim() == 3 else rows


def matrices(folder: Path, layers: Iterable[LowRank]) -> Iterator[tuple[LowRank, Tensor, Tensor]]:
    """Of each layer Aᵀ [inputs, rank] and scale · Bᵀ [rank, outputs], float32. Raises CorruptBundle."""
    file: Any = safe_open(folder / ADAPTER_WEIGHTS, framework="pt")
    for layer in layers:
        first, second = (file.get_tensor(layer.key(side)).float() for side in ("A", "B"))
        if not (first.isfinite().all() and second.isfinite().all()):
            raise CorruptBundle(f"The adapter's matrices on {layer.module!r} hold values that are no numbers.",
                                file=ADAPTER_WEIGHTS)  # fmt: skip
        yield layer, first.T, (second * layer.scale).T


def check_sizes(layer: LowRank, inputs: int, outputs: int) -> None:
    """Raises Unprocessable where the base's layer has others."""
    if (layer.inputs, layer.outputs) != (inputs, outputs):
        raise Unprocessable(
            f"The adapter's {layer.module!r} goes from {layer.inputs} to {layer.outputs} and the base's from {inputs} "
            f"to {outputs}: it was trained on another model.", field="adapter",
        )  # fmt: skip


def not_there(layer: LowRank) -> Unprocessable:
    return Unprocessable(f"The adapter adapts {layer.module!r}, which the base does not have: it was trained on "
                         "another model.", field="adapter")  # fmt: skip


def not_adapted(layer: LowRank) -> Unprocessable:
    return Unprocessable(f"The adapter adapts {layer.module!r}, which is no linear layer inside the model: train it on "
                         "those alone.", field="adapter")  # fmt: skip
