"""Taking in PyTorch's formats: exported programs, TorchScript, safetensors of a known architecture. No pickles."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.frameworks.importing import Imported, ImportJob

_PICKLED = (".pt", ".pth", ".bin", ".ckpt")


class ProgramImporter:
    """`.pt2` of torch.export.save."""

    def recognises(self, source: Path) -> bool:
        return source.is_file() and source.suffix.lower() == ".pt2"

    def read(self, job: ImportJob) -> Imported:
        from gristmill.frameworks.torch.exported import inputs_of, open_program

        program = open_program(job.source)
        if program.call_spec.in_spec.num_children > 1 and program.call_spec.in_spec.child(1).num_leaves:
            raise Unprocessable("The program takes named arguments: export the model with positional ones.",
                                field="source")  # fmt: skip
        try:
            inputs = inputs_of(program)
        except (KeyError, AttributeError):
            raise Unprocessable("The program takes something that is no tensor of numbers: export it with tensors.",
                                field="source") from None  # fmt: skip
        job.weights.mkdir(parents=True)
        shutil.copyfile(job.source, job.weights / "model.pt2")
        architecture = {"name": "exported-program", "inputs": [spec.name for spec in inputs]}
        parameters = sum(tensor.numel() for tensor in program.state_dict.values())
        return Imported("torch", "torch-export", architecture, inputs, (), parameters)


class TorchScriptImporter:
    """`.pt` with code in it that TorchScript's own interpreter runs; all other `.pt`, `.pth`, `.bin` are pickles."""

    def recognises(self, source: Path) -> bool:
        return source.is_file() and source.suffix.lower() in _PICKLED

    def read(self, job: ImportJob) -> Imported:
        if not _is_script(job.source):
            raise Unprocessable(
                f"{job.source.name} is a pickle, which runs code when it is loaded: if you trust it, `gristmill models "
                f"convert {job.source.name} --to {job.source.stem}.safetensors` makes weights of it.", field="source",
            )  # fmt: skip
        if not job.told.inputs:
            raise Unprocessable("TorchScript does not say what it takes: give each input in order, "
                                "as in --input image:FP32:[-1,3,224,224].", field="inputs")  # fmt: skip
        from gristmill.frameworks.torch.exported import open_script

        module = open_script(job.source)
        job.weights.mkdir(parents=True)
        shutil.copyfile(job.source, job.weights / "model.pt")
        told = job.told.inputs
        architecture = {
            "name": "torchscript",
            "inputs": [spec.name for spec in told],
            "dtypes": [spec.dtype for spec in told],
            "one_by_one": any(spec.shape[:1] == (1,) for spec in told),
        }
        parameters = sum(tensor.numel() for tensor in module.parameters())
        return Imported("torch", "torch-export", architecture, job.told.inputs, (), parameters)


class SafetensorsImporter:
    """`.safetensors` of an architecture that Gristmill has for the task."""

    def recognises(self, source: Path) -> bool:
        return source.is_file() and source.suffix.lower() == ".safetensors"

    def read(self, job: ImportJob) -> Imported:
        told = job.told
        if told.architecture is None or told.task is None or not told.inputs:
            raise Unprocessable(
                "safetensors hold weights alone: say what they are of, as in --architecture cnn "
                "--task image-classification --input image:FP32:[-1,3,32,32].", field="architecture",
            )  # fmt: skip
        from gristmill.frameworks.torch.adoption import adopt

        architecture, parameters = adopt(job.source, told.task, _architecture(told.architecture), told)
        job.weights.mkdir(parents=True)
        shutil.copyfile(job.source, job.weights / "model.safetensors")
        return Imported("torch", "torch", architecture, told.inputs, (), parameters, scores="logits")


def _architecture(text: str) -> dict[str, Any]:
    """A name, or JSON of a name with its options."""
    try:
        given = json.loads(text) if text.lstrip().startswith("{") else {"name": text}
    except json.JSONDecodeError:
        raise Unprocessable("The architecture is neither a name nor JSON of one with its options.",
                            field="architecture") from None  # fmt: skip
    return dict(given)


def _is_script(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError):
        return False
    except OSError as error:
        raise CorruptBundle(f"{path.name} cannot be read.", file=path.name) from error
    return any("/code/" in name for name in names) and any(name.endswith("/constants.pkl") for name in names)
