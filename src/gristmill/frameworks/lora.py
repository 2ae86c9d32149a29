"""A LoRA adapter's folder as PEFT writes it, read as data: its config and its tensors' shapes, no values."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from gristmill.core.errors import CorruptBundle, Unprocessable

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PICKLED = "adapter_model.bin"
_PREFIX = "base_model.model."
_SIDES = {".lora_A.weight": 0, ".lora_B.weight": 1}
# What changes how an adapter computes, with the value that changes nothing.
_PLAIN: dict[str, tuple[Any, ...]] = {
    "bias": ("none",), "use_dora": (False,), "use_qalora": (False,), "lora_bias": (False,), "fan_in_fan_out": (False,),
    "modules_to_save": ([],), "trainable_token_indices": ([], {}), "alora_invocation_tokens": ([],),
    "layer_replication": ([],), "alpha_pattern": ({},), "target_parameters": ([],), "use_bdlora": (False,),
    "arrow_config": ({},), "kasa_config": ({},), "velora_config": ({},), "monteclora_config": ({},),
    "megatron_config": ({},),
}  # fmt: skip


class LowRank(NamedTuple):
    """What is added to one linear layer: y += scale · x Aᵀ Bᵀ, where A is [rank, inputs] and B is [outputs, rank]."""

    module: str  # its name in the base
    rank: int
    inputs: int
    outputs: int
    scale: float

    def key(self, side: str) -> str:
        """Name of a tensor in the file; `side` A or B."""
        return f"{_PREFIX}{self.module}.lora_{side}.weight"

    @property
    def parameters(self) -> int:
        return self.rank * (self.inputs + self.outputs)


def read_lora(folder: Path) -> tuple[LowRank, ...]:
    """By the module's name. Raises Unprocessable (pickles, what is no plain LoRA), CorruptBundle."""
    config = _config(folder)
    if not (folder / ADAPTER_WEIGHTS).is_file():
        if (folder / _PICKLED).is_file():
            raise Unprocessable(
                f"The adapter's weights are {_PICKLED}, a format that runs code when it is loaded: save it with "
                "save_pretrained(FOLDER, safe_serialization=True).", field="source",
            )  # fmt: skip
        raise Unprocessable(f"The folder has no {ADAPTER_WEIGHTS}: copy the adapter whole.", field="source")
    return tuple(_low_rank(config, module, sides) for module, sides in sorted(_shapes(folder).items()))


def architecture_of(layers: Sequence[LowRank]) -> dict[str, Any]:
    """As an adapter's manifest has it."""
    return {"name": "LoRA", "rank": max(one.rank for one in layers), "layers": len(layers)}


def _config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = dict(json.loads((folder / ADAPTER_CONFIG).read_text()))
        alpha = float(config["lora_alpha"]) if config.get("peft_type") == "LORA" else 0.0
    except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptBundle(f"{ADAPTER_CONFIG} is missing, or is not what PEFT writes.", file=ADAPTER_CONFIG) from error
    if config.get("peft_type") != "LORA":
        raise Unprocessable(f"The adapter is of the kind {config.get('peft_type')!r}: LORA is served.", field="source")
    if not math.isfinite(alpha):
        raise CorruptBundle(f"{ADAPTER_CONFIG} has a lora_alpha that is no number.", file=ADAPTER_CONFIG)
    for field, plain in _PLAIN.items():
        if config.get(field) is not None and config[field] not in plain:
            raise Unprocessable(
                f"The adapter has {field} = {config[field]!r}, which is more than a plain LoRA: train it without.",
                field=field,
            )
    return config


def _shapes(folder: Path) -> dict[str, list[tuple[int, ...] | None]]:
    """(shape of A, shape of B) by module. Raises CorruptBundle, Unprocessable on a tensor of another kind."""
    found: dict[str, list[tuple[int, ...] | None]] = {}
    try:
        file: Any = safe_open(folder / ADAPTER_WEIGHTS, framework="np")
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.offset_keys()}
    except (OSError, SafetensorError) as error:
        raise CorruptBundle(f"{ADAPTER_WEIGHTS} is no safetensors file, or cut short.", file=ADAPTER_WEIGHTS) from error
    for name, shape in shapes.items():
        side = next((side for side in _SIDES if name.endswith(side)), None)
        if side is None or not name.startswith(_PREFIX):
            raise Unprocessable(
                f"The adapter's tensor {name!r} is no part of a LoRA on a linear layer: train it without.",
                field="source",
            )
        module = name.removeprefix(_PREFIX).removesuffix(side)
        found.setdefault(module, [None, None])[_SIDES[side]] = shape
    if not found:
        raise CorruptBundle(f"{ADAPTER_WEIGHTS} holds no tensors.", file=ADAPTER_WEIGHTS)
    return found


def _low_rank(config: dict[str, Any], module: str, sides: list[tuple[int, ...] | None]) -> LowRank:
    first, second = sides
    if first is None or second is None or len(first) != 2 or len(second) != 2 or first[0] != second[1] or not first[0]:
        raise CorruptBundle(f"The adapter's two matrices on {module!r} do not belong together.", file=ADAPTER_WEIGHTS)
    rank = first[0]
    scale = float(config["lora_alpha"]) / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return LowRank(module, rank, first[1], second[0], scale)
