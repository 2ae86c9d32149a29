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
    """Checked as data before Keras opens it. Raises CorruptBundle, Unprocessable naming the layer."""
    check_backend()
    check_archive(bundle / _PLACE)
    try:
        return keras.saving.load_model(bundle / _PLACE, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its layers raise
        raise CorruptBundle(f"{_PLACE} cannot be opened by this Keras ({keras.__version__}).", file=_PLACE) from error
