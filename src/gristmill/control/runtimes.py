"""Runtimes: in this environment, or in one of their own that is made on demand."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.control.access import Caller
from gristmill.control.runtime_install import BEGUN, ENVIRONMENT, FAILURE, READY, recipes
from gristmill.core import plugins
from gristmill.core.errors import Conflict, NotFound
from gristmill.core.files import write_atomic
from gristmill.core.processes import living
from gristmill.core.types import Resources
from gristmill.engines.protocol import Engine, ProcessSpec

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

MODULE = "gristmill.control.runtime_install"
_BEGINNING_S = 15.0  # until its process has told that it lives
_PACKAGES = {
    "torch": "torch", "torch-export": "torch", "keras": "keras", "tensorflow": "tensorflow", "onnx": "onnxruntime",
    "transformers": "transformers", "llama-cpp": "llama_cpp", "llama-cpp-bfloat16": "llama_cpp",
    "llama-cpp-int8": "llama_cpp", "vllm": "vllm",
}  # fmt: skip


def installed(runtimes: Path) -> dict[str, str]:
    """The Python of each runtime that has an environment of its own, by name."""
    ready = (folder for folder in sorted(runtimes.glob("*")) if (folder / READY).exists())
    return {folder.name: str(folder / ENVIRONMENT / "bin" / "python") for folder in ready}


def list_runtimes(platform: Platform) -> list[dict[str, Any]]:
    names = sorted({*plugins.names("runtimes"), *recipes()})
    return [show(platform.settings.runtimes, name) for name in names]


def show(runtimes: Path, name: str) -> dict[str, Any]:
    """{name, state: here|absent|installing|installed|failed, python, error}; `here`: beside Gristmill itself."""
    folder = runtimes / name
    state, error = "here" if importlib.util.find_spec(_PACKAGES.get(name, "gristmill")) else "absent", None
    if (folder / READY).exists():
        state = "installed"
    elif (folder / FAILURE).exists():
        state, error = "failed", (folder / FAILURE).read_text()
    elif (folder / BEGUN).exists():
        begins = time.time() - (folder / BEGUN).stat().st_mtime < _BEGINNING_S
        state = "installing" if begins or living(folder) else "failed"
        error = None if state == "installing" else f"The installation of {name} was broken off: try it again."
    return {"name": name, "state": state, "python": installed(runtimes).get(name), "error": error}


def install(platform: Platform, by: Caller, name: str) -> dict[str, Any]:
    """Start making its environment, anew where there is one. Raises NotFound, Conflict."""
    if name not in recipes():
        raise NotFound(f"There is no runtime {name!r} to install: there are {', '.join(sorted(recipes()))}.")
    folder = platform.settings.runtimes / name
    if living(folder):
        raise Conflict(f"The runtime {name} is being installed: `gristmill runtimes list` shows when it is there.")
    folder.mkdir(parents=True, exist_ok=True)
    for old in (READY, FAILURE):
        (folder / old).unlink(missing_ok=True)
    write_atomic(folder / BEGUN, b"")
    engine: Engine = plugins.load("engines", platform.settings.engine)()
    engine.start(ProcessSpec(MODULE, (str(folder), name), str(folder), Resources(1.0)))
    return show(platform.settings.runtimes, name)
