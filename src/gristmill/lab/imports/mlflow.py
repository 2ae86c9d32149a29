"""An MLflow model's folder: the flavour in it that is no pickle, read by that format's own importer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from gristmill.bundles.digests import check_path
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.frameworks.importing import Imported, ImportJob
from gristmill.lab.imports.formats import importer_of

DESCRIPTION = "MLmodel"
# In the order of trust: what needs least beside itself comes first.
_FLAVOURS = ("onnx", "keras", "tensorflow", "pytorch", "transformers")
_PLACES = ("data", "model_data", "saved_model_dir", "model_binary")
_MODELS = ("model.onnx", "model.keras", "model.pt2", "saved_model.pb", "config.json", "model.h5", "model.pth")


class MLflowImporter:
    """See frameworks/importing.Importer."""

    def recognises(self, source: Path) -> bool:
        return (source / DESCRIPTION).is_file()

    def read(self, job: ImportJob) -> Imported:
        flavours = _flavours(job.source)
        for model in _models(job.source, flavours):
            return importer_of(model).read(job._replace(source=model))
        raise Unprocessable(
            f"The MLflow model has the flavours {', '.join(sorted(flavours)) or 'none'}, which are pickles and run "
            "code when they are loaded: log it again as ONNX (mlflow.onnx.log_model) and import that.", field="source",
        )  # fmt: skip


def _flavours(folder: Path) -> Mapping[str, Any]:
    try:
        described = yaml.safe_load((folder / DESCRIPTION).read_text())
        flavours: Mapping[str, Any] = dict(described["flavors"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, ValueError) as error:
        raise CorruptBundle(f"{DESCRIPTION} is not the description of an MLflow model.", file=DESCRIPTION) from error
    return flavours


def _models(folder: Path, flavours: Mapping[str, Any]) -> Iterator[Path]:
    """Files or folders that the flavours name, inside the folder only."""
    for flavour in _FLAVOURS:
        described = flavours.get(flavour)
        if not isinstance(described, Mapping):
            continue
        for place in _PLACES:
            name = described.get(place)
            if isinstance(name, str) and name:
                yield from _found(folder, name)


def _found(folder: Path, name: str) -> Iterator[Path]:
    try:
        path = folder / check_path(name.rstrip("/"))
    except CorruptBundle:
        raise Unprocessable(f"{DESCRIPTION} names {name!r}, which is not inside the model's folder.",
                            field="source") from None  # fmt: skip
    if path.is_file():
        yield path
    for parent in (path, path / "model"):
        for model in _MODELS:
            if (parent / model).is_file():
                # a folder's own marker stands for the folder
                yield parent if model in ("saved_model.pb", "config.json") else parent / model
