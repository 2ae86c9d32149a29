"""Serving a bundle in ONNX Runtime."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime as ort

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle, GristmillError
from gristmill.core.types import DTYPES, Resources
from gristmill.frameworks.onnx.graph import inputs_of, outputs_of, read_graph
from gristmill.frameworks.rows import row_by_row
from gristmill.tasks.protocol import ModelOutput, Tensors

FILE = "weights/model.onnx"


class OnnxRuntime:
    """See frameworks/protocol.Runtime. A model whose batch is fixed at one row is run row by row."""

    def __init__(self, path: Path, resources: Resources) -> None:
        graph = read_graph(path)
        self._inputs, self._outputs = inputs_of(graph), [spec.name for spec in outputs_of(graph)]
        self._one_by_one = any(spec.shape[:1] == (1,) for spec in self._inputs)
        self._session = ort.InferenceSession(str(path), _options(resources), providers=_providers(resources))

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> OnnxRuntime:
        try:
            return cls(bundle / FILE, resources)
        except GristmillError:
            raise
        except Exception as error:  # onnxruntime's own errors have no base of their own
            raise CorruptBundle(
                f"The model cannot be opened by ONNX Runtime {ort.__version__}: {_reason(error)}.", file=FILE
            ) from error

    def infer(self, inputs: Tensors) -> ModelOutput:
        feed = self._feed(inputs)
        return row_by_row(self._run, feed) if self._one_by_one else self._run(feed)

    def _feed(self, inputs: Tensors) -> Tensors:
        """By name; a single tensor may have the task's name and not the model's."""
        named = inputs if len(self._inputs) > 1 else {self._inputs[0].name: next(iter(inputs.values()))}
        return {spec.name: np.ascontiguousarray(named[spec.name], DTYPES.get(spec.dtype)) for spec in self._inputs}

    def _run(self, feed: Tensors) -> ModelOutput:
        found: list[np.ndarray] = self._session.run(self._outputs, feed)
        return found[0] if len(found) == 1 else dict(zip(self._outputs, found, strict=True))

    def close(self) -> None:
        del self._session


def _reason(error: Exception) -> str:
    """Without the code, the path and the place in its source that stand before it."""
    line = str(error).strip().split("\n", 1)[0].rpartition("failed:")[2]
    line = line.rpartition(") ")[2] if "onnxruntime::" in line else line  # a signature of C++
    line = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : |\S*/\S+", "", line).strip()
    return line[:200].rstrip(".")


def _options(resources: Resources) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = max(1, int(resources.cores))
    options.inter_op_num_threads = 1
    # idle threads that spin take their core from the gateway and from other replicas
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def _providers(resources: Resources) -> list[str]:
    wanted = ["CUDAExecutionProvider"] if resources.gpus > 0 else []
    return [name for name in wanted if name in ort.get_available_providers()] + ["CPUExecutionProvider"]
