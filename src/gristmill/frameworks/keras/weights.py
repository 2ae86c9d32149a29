"""A Keras model as a `.keras` file, opened in safe mode: layers of Keras's own, no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle
from gristmill.frameworks.keras.archive import check_archive
from gristmill.frameworks.keras.backend import check_backend

NAME = "model.keras"
_PLACE = f"weights/{NAME}"


def save_model(model: Any, folder: Path) -> None:
    """Write `folder/model.keras`."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / NAME)


def output_names(model: Any) -> list[str]:
    """Of a functional model; a sequential one has one output and no name for it."""
    return list(getattr(model, "output_names", None) or ["output"])


def load_model(bundle: Path, manifest: Manifest) -> Any:
    """Raises CorruptBundle, Unprocessable naming the layer."""
    check_backend()
    return open_model(bundle / _PLACE, _PLACE)


def open_model(path: Path, name: str) -> Any:
    """Checked as data before Keras opens it; `name` is what errors call it. Raises CorruptBundle, Unprocessable."""
    check_archive(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its layers raise
        raise CorruptBundle(
            f"{name} cannot be opened by this Keras ({keras.__version__}){_reason(error)}.", file=name
        ) from error


def _reason(error: Exception) -> str:
    """Its first sentence, where it names no place on this machine."""
    first = str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".:")[:200]
    return f": {first}" if first and "/" not in first else ""
