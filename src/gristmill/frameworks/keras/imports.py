"""Taking in a `.keras` file; Keras's older `.h5` is converted first, since it may hold pickled functions."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gristmill.core.errors import Unprocessable
from gristmill.core.types import TensorSpec
from gristmill.frameworks.importing import Imported, ImportJob

_OLD = (".h5", ".hdf5")
_DTYPES = {"float16": "FP16", "float32": "FP32", "float64": "FP64", "bool": "BOOL", "string": "BYTES"} | {
    f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


class KerasImporter:
    """See frameworks/importing.Importer."""

    def recognises(self, source: Path) -> bool:
        return source.is_file() and source.suffix.lower() in (".keras", *_OLD)

    def read(self, job: ImportJob) -> Imported:
        if job.source.suffix.lower() in _OLD:
            raise Unprocessable(
                f"{job.source.name} is Keras's old format, which can hold code: if you trust it, `gristmill models "
                f"convert {job.source.name} --to {job.source.stem}.keras` makes a .keras file of it.", field="source",
            )  # fmt: skip
        from gristmill.frameworks.keras.weights import open_model, output_names

        model = open_model(job.source, job.source.name)
        job.weights.mkdir(parents=True)
        shutil.copyfile(job.source, job.weights / "model.keras")
        inputs = _specs([tensor.name for tensor in model.inputs], model.inputs)
        outputs = _specs(output_names(model), model.outputs)
        return Imported("keras", "keras", {"name": "imported"}, inputs, outputs, model.count_params())


def _specs(names: Sequence[str], tensors: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name, _DTYPES[str(tensor.dtype)], tuple(-1 if size is None else size for size in tensor.shape))
        for name, tensor in zip(names, tensors, strict=True)
    )
