"""Taking in an `.onnx` file, or a folder of one with its weights beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.importing import Imported, ImportJob

FILE = "model.onnx"


class OnnxImporter:
    """See frameworks/importing.Importer."""

    def recognises(self, source: Path) -> bool:
        return bool(_models(source))

    def read(self, job: ImportJob) -> Imported:
        from gristmill.frameworks.onnx.graph import (
            external_files,
            inputs_of,
            metadata_of,
            outputs_of,
            parameters_of,
            read_graph,
        )

        models = _models(job.source)
        if len(models) > 1:
            names = ", ".join(model.name for model in models)
            raise Unprocessable(f"The folder has several ONNX models ({names}): import one of them.", field="source")
        path = models[0]
        graph = read_graph(path)
        beside = external_files(graph)
        inputs, outputs, parameters = inputs_of(graph), outputs_of(graph), parameters_of(graph)
        metadata = metadata_of(graph)
        job.weights.mkdir(parents=True)
        shutil.copyfile(path, job.weights / FILE)
        for name in beside:
            target = job.weights / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path.parent / name, target)
        return Imported(
            "onnx", "onnx", {"name": "onnx"}, inputs, outputs, parameters,
            metadata.get("license") or metadata.get("licence"),
        )  # fmt: skip


def _models(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted(source.glob("*.onnx"))
    return [source] if source.suffix.lower() == ".onnx" else []
