"""Checkpoints: tensors and numbers in one safetensors file, written whole or not at all; the last two are kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gristmill.core.faults import fault_point
from gristmill.core.files import full_disk_is_said

_KEPT = 2
_before = fault_point("checkpoint.before-save")
_within = fault_point("checkpoint.in-mid-save")
_written = fault_point("checkpoint.before-rename")
_after = fault_point("checkpoint.after-save")


class Checkpoint(NamedTuple):
    step: int
    tensors: dict[str, np.ndarray]
    numbers: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Raises StorageFull; then the earlier checkpoints are intact."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.asarray(tensor, order="C") for name, tensor in checkpoint.tensors.items()}
    data = save(tensors, {"numbers": json.dumps(checkpoint.numbers)})
    final = folder / f"step-{checkpoint.step:010d}.safetensors"
    temporary = folder / f".{final.name}.tmp"
    _before()
    with full_disk_is_said():
        try:
            with temporary.open("wb") as file:
                file.write(data[: len(data) // 2])
                file.flush()
                _within()
                file.write(data[len(data) // 2 :])
                file.flush()
                os.fsync(file.fileno())
            _written()
            os.replace(temporary, final)
        finally:
            temporary.unlink(missing_ok=True)
    for old in _saved(folder)[_KEPT:]:
        old.unlink(missing_ok=True)
    _after()


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest one that is whole; None when there is none. What a death left half written is removed."""
    for torn in folder.glob(".step-*.tmp"):
        torn.unlink(missing_ok=True)
    for path in _saved(folder):
        try:
            with safe_open(path, "np") as file:
                numbers = json.loads(file.metadata()["numbers"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            continue
        return Checkpoint(int(path.stem.partition("-")[2]), tensors, numbers)
    return None


def _saved(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"), reverse=True)
