"""All that changes while training, saved and restored as one: model, optimiser, average, chance, position, memory."""

from __future__ import annotations

from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from gristmill.frameworks.torch.checkpoints import Checkpoint
from gristmill.frameworks.torch.regularisation import MovingAverage, Patience


class TrainingState:
    """`step` counts optimiser steps since the start, `place` those since the epoch's start."""

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        average: MovingAverage | None,
        scaler: torch.amp.GradScaler | None,
    ) -> None:
        self.model, self.optimiser, self.average, self.scaler = model, optimiser, average, scaler
        self.parameters = list(model.parameters())
        self.step = self.epoch = self.place = 0
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.parameters[0].device)
        self.loss_rows = 0
        self.best: dict[str, Tensor] = {}
        self.best_values: dict[str, float] = {}
        self.patience = Patience()
        self.values: dict[str, float] = {}  # the last epoch's metrics
        self.ended = False

    @property
    def evaluated(self) -> nn.Module:
        """The module whose weights count: the moving average where there is one."""
        return self.model if self.average is None else self.average.model

    def keep_best(self) -> None:
        self.best = {name: tensor.clone() for name, tensor in self.evaluated.state_dict().items()}
        self.best_values = dict(self.values)

    def take_best(self) -> None:
        """Early stopping's weights and metrics, where there is early stopping."""
        if self.best:
            self.evaluated.load_state_dict(self.best)
            self.values = dict(self.best_values)

    def checkpoint(self) -> Checkpoint:
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average/{name}": tensor for name, tensor in self.average.model.state_dict().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        tensors |= {"chance": torch.get_rng_state(), "loss_sum": self.loss_sum}
        if torch.cuda.is_available() and self.loss_sum.is_cuda:
            tensors["chance_cuda"] = torch.cuda.get_rng_state()
        numbers: dict[str, Any] = {}
        for parameter, values in self.optimiser.state_dict()["state"].items():
            for name, value in values.items():
                key = f"optimiser/{parameter}/{name}"
                if isinstance(value, Tensor):
                    tensors[key] = value
                else:
                    numbers[key] = value
        numbers |= {name: getattr(self, name) for name in _NUMBERS} | {"patience": msgspec.to_builtins(self.patience)}
        if self.scaler is not None:
            numbers["scaler"] = self.scaler.state_dict()
        return Checkpoint(self.step, tensors, numbers)

    def restore(self, saved: Checkpoint) -> None:
        self.model.load_state_dict(_under("model/", saved.tensors))
        if self.average is not None:
            self.average.model.load_state_dict(_under("average/", saved.tensors))
        self.best = {name: tensor.to(self.loss_sum.device) for name, tensor in _under("best/", saved.tensors).items()}
        self.loss_sum = saved.tensors["loss_sum"].to(self.loss_sum.device)
        self._restore_optimiser(saved)
        if self.scaler is not None:
            self.scaler.load_state_dict(saved.numbers["scaler"])
        for name in _NUMBERS:
            setattr(self, name, saved.numbers[name])
        self.patience = msgspec.convert(saved.numbers["patience"], Patience)
        torch.set_rng_state(saved.tensors["chance"])
        if "chance_cuda" in saved.tensors and self.loss_sum.is_cuda:
            torch.cuda.set_rng_state(saved.tensors["chance_cuda"])

    def _restore_optimiser(self, saved: Checkpoint) -> None:
        state: dict[int, dict[str, Any]] = {}
        for key, value in (*saved.tensors.items(), *saved.numbers.items()):
            if key.startswith("optimiser/"):
                _, parameter, name = key.split("/", 2)
                state.setdefault(int(parameter), {})[name] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})


_NUMBERS = ("step", "epoch", "place", "loss_rows", "values", "best_values", "ended")


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
