"""Taking in a SavedModel's folder."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from gristmill.core.errors import CorruptBundle
from gristmill.frameworks.importing import Imported, ImportJob

FOLDER = "saved_model"


class SavedModelImporter:
    """See frameworks/importing.Importer."""

    def recognises(self, source: Path) -> bool:
        return (source / "saved_model.pb").is_file()

    def read(self, job: ImportJob) -> Imported:
        from gristmill.frameworks.tensorflow.saved_model import read_graph, signature_of

        inputs, outputs = signature_of(read_graph(job.source))
        parameters = _parameters(job.source)
        job.weights.mkdir(parents=True)
        shutil.copytree(job.source, job.weights / FOLDER, symlinks=True)
        return Imported("tensorflow", "tensorflow", {"name": "imported"}, inputs, outputs, parameters)


def _parameters(folder: Path) -> int:
    import tensorflow as tf

    if not (folder / "variables" / "variables.index").is_file():
        return 0
    try:
        found = tf.train.list_variables(str(folder / "variables" / "variables"))
    except (tf.errors.OpError, LookupError, ValueError) as error:
        raise CorruptBundle("The SavedModel's variables cannot be read.", file="variables") from error
    return sum(math.prod(shape) for name, shape in found if not name.startswith("_"))
