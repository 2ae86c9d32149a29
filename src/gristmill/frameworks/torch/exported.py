"""Serving a program of torch.export (`.pt2`) or TorchScript: a graph that needs none of its author's code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from gristmill.bundles.archives import check_zip
from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import DTYPES, Resources, TensorSpec
from gristmill.frameworks.rows import row_by_row
from gristmill.frameworks.scores import scores_of
from gristmill.frameworks.torch.program import check_program
from gristmill.frameworks.torch.script import check_code, check_graph
from gristmill.tasks.protocol import ModelOutput, Tensors

PROGRAM, SCRIPT = "weights/model.pt2", "weights/model.pt"
_NO_GRADIENTS = (
    "Gradients need one real-valued input and one output that follows from it smoothly, which this program has not: "
    "ask for the method occlusion."
)
_DTYPES = {
    torch.bool: "BOOL", torch.uint8: "UINT8", torch.int8: "INT8", torch.int16: "INT16", torch.int32: "INT32",
    torch.int64: "INT64", torch.float16: "FP16", torch.float32: "FP32", torch.float64: "FP64",
}  # fmt: skip


class ExportedRuntime:
    """See frameworks/protocol.Runtime and Differentiable. `architecture["inputs"]` names the inputs in their order.

    `dtypes`: what the program says that it takes, in that order; where it says nothing, what is given is taken.
    """

    def __init__(
        self, module: Any, names: list[str], dtypes: list[str | None], scores: str, device: torch.device,
        one_by_one: bool,
    ) -> None:  # fmt: skip
        self._module, self._scores, self._device, self._one_by_one = module, scores, device, one_by_one
        self._takes = {name: dtype and DTYPES[dtype] for name, dtype in zip(names, dtypes, strict=True)}

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> ExportedRuntime:
        torch.set_num_threads(max(1, int(resources.cores)))
        device = torch.device("cuda" if resources.gpus > 0 and torch.cuda.is_available() else "cpu")
        names, scores = list(manifest.architecture["inputs"]), scores_of(manifest.signature)
        if (bundle / SCRIPT).exists():
            dtypes = list(manifest.architecture.get("dtypes") or [None] * len(names))
            one_by_one = bool(manifest.architecture.get("one_by_one"))
            return cls(open_script(bundle / SCRIPT).to(device), names, dtypes, scores, device, one_by_one)
        program = open_program(bundle / PROGRAM)
        specs = inputs_of(program)
        one_by_one = any(spec.shape[:1] == (1,) for spec in specs)
        if device.type == "cuda":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
        module, dtypes = program.module(check_guards=False), [spec.dtype for spec in specs]
        return cls(module, names, dtypes, scores, device, one_by_one)

    def infer(self, inputs: Tensors) -> ModelOutput:
        """By name; a single tensor may have the task's name and not the model's."""
        named = inputs if len(self._takes) > 1 else dict(zip(self._takes, inputs.values(), strict=True))
        return row_by_row(self._compute, named) if self._one_by_one else self._compute(named)

    @torch.inference_mode()
    def _compute(self, inputs: Tensors) -> ModelOutput:
        arrays = (np.ascontiguousarray(inputs[name], dtype) for name, dtype in self._takes.items())
        return _named(self._module(*(torch.from_numpy(array).to(self._device) for array in arrays)))

    def integrated_gradients(
        self, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int
    ) -> tuple[Tensors, np.ndarray]:
        """Raises Unprocessable where there is nothing to differentiate at."""
        from gristmill.frameworks.torch.gradients import integrated_gradients

        (first, *others) = inputs.values()
        if others or first.dtype.kind != "f":
            raise Unprocessable(_NO_GRADIENTS, field="method")
        dtype = next(iter(self._takes.values())) or first.dtype
        given, start = ({name: values.astype(dtype) for name, values in part.items()} for part in (inputs, baselines))
        compute = (lambda x: torch.cat([self._module(row) for row in x.split(1)])) if self._one_by_one else self._module
        try:
            return integrated_gradients(compute, self._device, given, start, targets, steps, self._scores)
        except (RuntimeError, AssertionError, AttributeError) as error:  # of a graph without gradients, or tensors
            raise Unprocessable(_NO_GRADIENTS, field="method") from error

    def close(self) -> None:
        del self._module


def open_program(path: Path) -> torch.export.ExportedProgram:
    """Checked first. Raises Unprocessable, CorruptBundle."""
    check_program(path)
    try:
        return torch.export.load(str(path))
    except Exception as error:  # its reader raises whatever it meets
        raise CorruptBundle(f"{path.name} is not a program that this PyTorch can open.", file=path.name) from error


def open_script(path: Path) -> Any:
    """Checked first: its interpreter knows no Python, but files. Raises Unprocessable, CorruptBundle, Malformed."""
    check_zip(path)
    check_code(path)
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, UnicodeDecodeError) as error:
        raise CorruptBundle(f"{path.name} is not TorchScript that this PyTorch can open.", file=path.name) from error
    check_graph(path, module)
    return module


def inputs_of(program: torch.export.ExportedProgram) -> tuple[TensorSpec, ...]:
    """The user's inputs in order; -1 for what is symbolic."""
    wanted = program.graph_signature.user_inputs
    found = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    return tuple(
        TensorSpec(str(name), _DTYPES[found[str(name)].dtype], tuple(_size(size) for size in found[str(name)].shape))
        for name in wanted
    )


def _size(size: int | torch.SymInt) -> int:
    return size if isinstance(size, int) else -1


def _named(output: Any) -> ModelOutput:
    """A tensor alone, a mapping by its keys, anything else by position."""
    if isinstance(output, torch.Tensor):
        return _array(output)
    if isinstance(output, dict):
        return {str(name): _array(value) for name, value in output.items()}
    leaves = pytree.tree_leaves(output)
    return {f"output_{place}": _array(value) for place, value in enumerate(leaves)}


def _array(values: torch.Tensor) -> np.ndarray:
    array: np.ndarray = (values.float() if values.dtype == torch.bfloat16 else values).cpu().numpy()
    return array
