"""Which engines may open a language model, by what its bundle holds and what is installed; nothing is imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping
from typing import NamedTuple

from gristmill.bundles.manifest import Manifest
from gristmill.core import plugins
from gristmill.frameworks.gguf import GGUF


class Engine(NamedTuple):
    package: str  # that it is built on
    gguf: bool  # it opens GGUF files
    safetensors: bool


_KNOWN = {
    "transformers": Engine("transformers", gguf=True, safetensors=True),
    "llama-cpp": Engine("llama_cpp", gguf=True, safetensors=False),
    "llama-cpp-bfloat16": Engine("llama_cpp", gguf=True, safetensors=False),
    "llama-cpp-int8": Engine("llama_cpp", gguf=True, safetensors=False),
    "vllm": Engine("vllm", gguf=False, safetensors=True),
}


def engines_for(manifest: Manifest, environments: Collection[str] | Mapping[str, str] = ()) -> list[str]:
    """Names of engines, one of `environments` being installed apart; a stranger's engine may try whatever it is."""
    of_gguf = f"weights/{GGUF}" in manifest.files
    return [name for name in plugins.names("generators") if _may(name, of_gguf, name in environments)]


def _may(name: str, of_gguf: bool, apart: bool) -> bool:
    engine = _KNOWN.get(name)
    if engine is None:
        return True
    installed = apart or importlib.util.find_spec(engine.package) is not None
    return installed and (engine.gguf if of_gguf else engine.safetensors)
