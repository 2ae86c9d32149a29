"""Which importer reads a file or folder; what none of them reads is refused with what to do."""

from __future__ import annotations

from pathlib import Path

from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.frameworks.importing import Imported, Importer, ImportJob

_KNOWN = (
    "a Gristmill bundle, .onnx, .keras, a SavedModel folder, .pt2, TorchScript, .safetensors with --architecture, "
    "a Hugging Face folder, .gguf, an MLflow model folder"
)
_PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".npy")


def read(job: ImportJob) -> Imported:
    """Raises Unprocessable when the format is unknown, or its importer's own errors."""
    return importer_of(job.source).read(job)


def importer_of(source: Path) -> Importer:
    for name in plugins.names("importers"):
        importer: Importer = plugins.load("importers", name)()
        if importer.recognises(source):
            return importer
    if source.suffix.lower() in _PICKLES:
        raise Unprocessable(
            f"{source.name} is a pickle, which runs code when it is loaded: save the model as ONNX "
            "(skl2onnx for scikit-learn) and import that.", field="source",
        )  # fmt: skip
    raise Unprocessable(f"{source.name} is no format that can be imported: known are {_KNOWN}.", field="source")
