"""The same job gives the same weights."""

from __future__ import annotations

import os

import torch

from gristmill.frameworks.protocol import TrainJob


def make_deterministic(job: TrainJob) -> None:
    """Bit for bit on CPU, with as many threads as cores were granted."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with a fixed workspace
    torch.use_deterministic_algorithms(True, warn_only=bool(job.resources.gpus))
    torch.set_num_threads(max(1, int(job.resources.cores)))
    torch.manual_seed(job.seed)
