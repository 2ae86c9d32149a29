"""Serving a bundle in PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from gristmill.bundles.manifest import Manifest
from gristmill.core.types import Resources
from gristmill.frameworks.scores import scores_of
from gristmill.frameworks.torch.gradients import integrated_gradients
from gristmill.frameworks.torch.weights import load_weights
from gristmill.tasks.protocol import Tensors


class TorchRuntime:
    """See frameworks/protocol.Runtime and Differentiable."""

    def __init__(self, module: nn.Module, scores: str, device: torch.device) -> None:
        self._module, self._scores, self._device = module.to(device), scores, device

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> TorchRuntime:
        torch.set_num_threads(max(1, int(resources.cores)))
        on_gpu = resources.gpus > 0 and torch.cuda.is_available()
        device = torch.device("cuda" if on_gpu else "cpu")
        return cls(load_weights(bundle, manifest), scores_of(manifest.signature), device)

    @torch.inference_mode()
    def infer(self, inputs: Tensors) -> np.ndarray:
        (values,) = inputs.values()
        output = self._module(torch.from_numpy(values).to(self._device))
        result: np.ndarray = output.float().cpu().numpy()
        return result

    def integrated_gradients(
        self, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int
    ) -> tuple[Tensors, np.ndarray]:
        return integrated_gradients(self._module, self._device, inputs, baselines, targets, steps, self._scores)

    def close(self) -> None:
        del self._module
