"""What of a training lives in PyTorch: model, optimiser, moving average, chance and the epoch's loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gristmill.frameworks.on_torch.regularisation import MovingAverage


class TrainingState:
    """Saved and restored as one."""

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        average: MovingAverage | None,
        scaler: torch.amp.GradScaler | None,
    ) -> None:
        self.model, self.optimiser, self.average, self.scaler = model, optimiser, average, scaler
        self.parameters = list(model.parameters())
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.parameters[0].device)
        self.loss_rows = 0
        self.best: dict[str, Tensor] = {}

    @property
    def evaluated(self) -> nn.Module:
        """The module whose weights count: the moving average where there is one."""
        return self.model if self.average is None else self.average.model

    def keep_best(self) -> None:
        self.best = {name: tensor.clone() for name, tensor in self.evaluated.state_dict().items()}

    def take_best(self) -> None:
        if self.best:
            self.evaluated.load_state_dict(self.best)

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average/{name}": tensor for name, tensor in self.average.model.state_dict().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        tensors |= {"chance": torch.get_rng_state(), "loss_sum": self.loss_sum}
        if torch.cuda.is_available() and self.loss_sum.is_cuda:
            tensors["chance_cuda"] = torch.cuda.get_rng_state()
        numbers: dict[str, Any] = {"loss_rows": self.loss_rows}
        for parameter, values in self.optimiser.state_dict()["state"].items():
            for name, value in values.items():
                key = f"optimiser/{parameter}/{name}"
                if isinstance(value, Tensor):
                    tensors[key] = value
                else:
                    numbers[key] = value
        if self.scaler is not None:
            numbers["scaler"] = self.scaler.state_dict()
        return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}, numbers

    def restore(self, arrays: Mapping[str, np.ndarray], numbers: Mapping[str, Any]) -> None:
        tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
        self.model.load_state_dict(_under("model/", tensors))
        if self.average is not None:
            self.average.model.load_state_dict(_under("average/", tensors))
        self.best = {name: tensor.to(self.loss_sum.device) for name, tensor in _under("best/", tensors).items()}
        self.loss_sum = tensors["loss_sum"].to(self.loss_sum.device)
        self.loss_rows = numbers["loss_rows"]
        self._restore_optimiser(tensors, numbers)
        if self.scaler is not None:
            self.scaler.load_state_dict(numbers["scaler"])
        torch.set_rng_state(tensors["chance"])
        if "chance_cuda" in tensors and self.loss_sum.is_cuda:
            torch.cuda.set_rng_state(tensors["chance_cuda"])

    def _restore_optimiser(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        state: dict[int, dict[str, Any]] = {}
        numbered = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        for key, value in (*tensors.items(), *numbers.items()):
            if key.startswith("optimiser/"):
                _, place, name = key.split("/", 2)
                state.setdefault(int(place), {})[name] = _laid_out(value, numbered[int(place)])
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})


def _laid_out(value: Any, parameter: Tensor) -> Any:
    """In memory as its parameter lies: the fused step goes through both as they lie."""
    if isinstance(value, Tensor) and value.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)
    return value


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
