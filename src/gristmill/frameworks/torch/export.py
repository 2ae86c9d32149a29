"""A version's module as ONNX, with a free batch and, for texts, a free length."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import Unprocessable
from gristmill.frameworks.torch.weights import load_weights
from gristmill.tasks.protocol import Tensors

FILE = "model.onnx"
_OPSET = 18


class OnnxExporter:
    """See frameworks/importing.Exporter."""

    def export(self, bundle: Path, manifest: Manifest, examples: Tensors, weights: Path) -> None:
        module = load_weights(bundle, manifest)
        ((name, values),) = examples.items()
        example = torch.from_numpy(np.ascontiguousarray(values))
        for talkative in ("torch.onnx", "onnx_ir", "onnxscript"):
            logging.getLogger(talkative).setLevel(logging.ERROR)
        # packed sequences depend on the data, which torch.export cannot follow and tracing can
        packed = any(isinstance(part, nn.RNNBase) for part in module.modules())
        export = _traced if packed else _captured
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                export(module, name, example, str(weights / FILE))
        except Exception as error:  # the exporter raises whatever it meets in a graph
            architecture = manifest.architecture.get("name")
            raise Unprocessable(f"PyTorch does not export the architecture {architecture!r} to ONNX.") from error


def _captured(module: nn.Module, name: str, example: torch.Tensor, path: str) -> None:
    free: dict[int, Any] = {0: torch.export.Dim("batch")}
    if not example.is_floating_point():
        free[1] = torch.export.Dim("length")
    torch.onnx.export(
        module, (example,), path, dynamo=True, dynamic_shapes=(free,), input_names=[name], output_names=["output"],
        external_data=False, opset_version=_OPSET, verbose=False,
    )  # fmt: skip


def _traced(module: nn.Module, name: str, example: torch.Tensor, path: str) -> None:
    free = {0: "batch"} if example.is_floating_point() else {0: "batch", 1: "length"}
    axes = {name: free, "output": {0: "batch"}}
    torch.onnx.export(
        module, (example,), path, dynamo=False, dynamic_axes=axes, input_names=[name], output_names=["output"],
        opset_version=_OPSET,
    )  # fmt: skip
