"""What an evaluation says: metrics with intervals, slices, calibration, and a paired test against a rival."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gristmill.tasks.protocol import Task, Tensors


class EvaluateJob(NamedTuple):
    """Outputs of `subject` (and of `rival`) for the same rows: what `Task.outputs` gives, whole test split.

    `targets`: int64 [N] classes or float32 [N] values; `labels`: class names, None for regression.
    `names`: NAME@VERSION of the subject and of the rival, for the verdict's sentence.
    """

    task: Task
    subject: Tensors
    targets: np.ndarray
    labels: tuple[str, ...] | None
    seed: int
    names: tuple[str, str | None]
    rival: Tensors | None = None


def evaluate(job: EvaluateJob) -> dict[str, Any]:
    """JSON-able: `metrics` {name: {value, low, high}}, `slices`, `calibration`, `confusion`, `against`, `rows`."""
    raise NotImplementedError
