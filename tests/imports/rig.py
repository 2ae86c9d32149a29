"""Import runs in this process, and small real models of each format to import."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from gristmill.bundles.digests import verify
from gristmill.bundles.manifest import Manifest
from gristmill.core.types import ImportRef, Resources, RunKind, RunSpec, Told, VersionRef
from gristmill.lab.events import Events
from gristmill.lab.imports.importing import import_run
from gristmill.lab.loading import LoadedVersion, open_version

CORE = Resources(1.0)


class Import(NamedTuple):
    """The run's folder, and the version that stands in its bundle."""

    folder: Path
    manifest: Manifest
    version: LoadedVersion


class Rig:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.run.mkdir()

    def bring(self, source: Path | str, **told: Any) -> Import:
        """As the scheduler would: the upload is a file, or a tar of a folder."""
        self.run_import(source, None, **told)
        bundle = self.run / "bundle"
        manifest = verify(bundle)
        return Import(self.run, manifest, open_version(manifest.name, bundle, manifest, CORE))

    def run_import(self, source: Path | str, base: VersionRef | None, **told: Any) -> None:
        upload = None if isinstance(source, str) else source
        if upload is not None and upload.is_dir():
            upload = self.folder / "upload.tar"
            with tarfile.open(upload, "w") as tar:
                tar.add(source, arcname=".")
        name = source if isinstance(source, str) else source.name
        ref = ImportRef(source=name, told=msgspec.convert(told, Told), upload=str(upload) if upload else None,
                        packed=upload is not None and upload != source)  # fmt: skip
        spec = RunSpec(id="run_test", tenant="default", kind=RunKind.import_, attempt=1, seed=0, resources=CORE,
                       blobs_url="", imported=ref, base=base)  # fmt: skip
        import_run(spec, self.run, Events(self.run, 1))

    def left_over(self) -> set[str]:
        """What a refused import left in the run's folder beside its events."""
        return {path.name for path in self.run.iterdir()} - {"events.jsonl"}


def small_model(outputs: int = 3) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, outputs)).eval()


def onnx_model(path: Path, batch: int | str = "batch", softmax: bool = False) -> np.ndarray:
    """x [batch, 4] @ weights [4, 3], with a softmax if wanted; the weights."""
    weights = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y" if not softmax else "z"])]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["z"], ["y"], axis=1))
    save_onnx(path, nodes, [numpy_helper.from_array(weights, "w")], batch)
    return weights


def save_onnx(path: Path, nodes: list[Any], weights: list[Any], batch: int | str = "batch", **extra: Any) -> None:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        weights,
    )
    opsets = [helper.make_opsetid("", 17), *extra.get("opsets", [])]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def external(location: str) -> onnx.TensorProto:
    """Weights [4, 3] that lie in a file beside the model."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def program(path: Path, module: nn.Module | None = None) -> nn.Module:
    """A `.pt2` of a small model for [batch, 3, 4], saved as a user would."""
    module = module or small_model()
    batch = torch.export.Dim("batch", min=1)
    torch.export.save(torch.export.export(module, (torch.randn(2, 3, 4),), dynamic_shapes=({0: batch},)), path)
    return module


def rewritten(path: Path, member: str, change: Callable[[Any], Any]) -> None:
    """The zip `path` with the JSON of the member that ends with `member` changed."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    (name,) = [name for name in content if name.endswith(member)]
    document = json.loads(content[name])
    content[name] = json.dumps(change(document) or document).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
