"""LoRA adapters in llama.cpp: PEFT's matrices under GGUF's names, in a file that it reads."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import llama_cpp as library
import numpy as np
from gguf import MODEL_ARCH_NAMES, GGUFWriter, get_tensor_name_map
from safetensors import safe_open

from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.frameworks.gguf import GgufHeader, read_header
from gristmill.frameworks.lora import ADAPTER_WEIGHTS, LowRank, read_lora

# llama.cpp's converter lays rows of queries and keys of these in pairs of rotary halves
_PAIRED = ("llama", "granite", "smollm3", "arcee", "minicpm")
_TURNED = {"attn_q": "head_count", "attn_k": "head_count_kv"}


class Lora:
    """One adapter in llama.cpp's memory, for as long as someone holds this."""

    def __init__(self, pointer: Any) -> None:
        self.pointer = pointer
        weakref.finalize(self, library.llama_adapter_lora_free, pointer).atexit = False


class _Matrices(NamedTuple):
    tensor: str  # of the base that they are added to
    down: np.ndarray  # A: float32 [rank, inputs]
    up: np.ndarray  # scale · B: float32 [outputs, rank]


def load_lora(model: Any, base: Path, folder: Path) -> Lora:
    """`model`: llama.cpp's, of the GGUF file `base`. Raises Unprocessable where they do not fit, CorruptBundle."""
    header = read_header(base)
    with tempfile.TemporaryDirectory() as where:
        path = Path(where) / "adapter.gguf"
        _write(path, header.architecture, _matrices(folder, header))
        pointer = library.llama_adapter_lora_init(model, str(path).encode())
    if not pointer:
        raise Unprocessable("llama.cpp does not take the adapter: deploy the version with --runtime transformers.",
                            field="adapter")  # fmt: skip
    return Lora(pointer)


def _write(path: Path, architecture: str, layers: Iterable[_Matrices]) -> None:
    writer = GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 0.0)  # none: the scale is in the matrices
    for layer in layers:
        writer.add_tensor(f"{layer.tensor}.lora_a", layer.down)
        writer.add_tensor(f"{layer.tensor}.lora_b", layer.up)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _matrices(folder: Path, header: GgufHeader) -> Iterator[_Matrices]:
    names, layers = _Names(header), read_lora(folder)
    file: Any = safe_open(folder / ADAPTER_WEIGHTS, framework="pt")  # numpy has no bfloat16
    for layer in layers:
        tensor = names.of(layer)
        down, up = (file.get_tensor(layer.key(side)).float().numpy() for side in ("A", "B"))
        if not (np.isfinite(down).all() and np.isfinite(up).all()):
            raise CorruptBundle(f"The adapter's matrices on {layer.module!r} hold values that are no numbers.",
                                file=ADAPTER_WEIGHTS)  # fmt: skip
        yield _Matrices(tensor, down, np.ascontiguousarray(names.turned(tensor, up * np.float32(layer.scale))))


class _Names:
    """How the base's file calls the layers that Transformers' names are of, and how it lays their rows."""

    def __init__(self, header: GgufHeader) -> None:
        self._metadata, self._architecture = header.metadata, header.architecture
        self._shapes = {tensor.name: tensor.shape for tensor in header.tensors}
        known = {name: architecture for architecture, name in MODEL_ARCH_NAMES.items()}
        if self._architecture not in known:
            raise Unprocessable(f"llama.cpp adapts no model of the architecture {self._architecture!r} here: deploy "
                                "the version with --runtime transformers.", field="adapter")  # fmt: skip
        self._map = get_tensor_name_map(known[self._architecture], int(self._told("block_count")))

    def _told(self, key: str) -> Any:
        return self._metadata.get(f"{self._architecture}.{key}", 0)

    def of(self, layer: LowRank) -> str:
        """Raises Unprocessable where the base has no such layer."""
        name = f"{self._map.get_name(layer.module)}.weight"
        if self._shapes.get(name) != (layer.inputs, layer.outputs):
            raise Unprocessable(
                f"The adapter adapts {layer.module!r} from {layer.inputs} to {layer.outputs}, which the base does not "
                "have: it was trained on another model.", field="adapter",
            )  # fmt: skip
        return name

    def turned(self, tensor: str, up: np.ndarray) -> np.ndarray:
        """[outputs, rank], its rows in the order of the base's."""
        key = _TURNED.get(tensor.split(".")[-2]) if self._architecture in _PAIRED else None
        if key is None:
            return up
        heads = int(self._told(f"attention.{key}") or self._told("attention.head_count"))
        return up.reshape(heads, 2, -1, up.shape[1]).swapaxes(1, 2).reshape(up.shape)
