"""Training in PyTorch, on accelerate: a flat loop over optimiser steps that can stop and go on at any of them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors.torch import save
from torch import Tensor, nn

from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.core.files import write_atomic
from gristmill.core.types import Signature
from gristmill.frameworks.protocol import Cancelled, Trained, TrainJob, Watcher
from gristmill.frameworks.torch.architectures.shapes import Shapes, build
from gristmill.frameworks.torch.architectures.tabular_regression import ScaledMLP
from gristmill.frameworks.torch.checkpoints import load_checkpoint, save_checkpoint
from gristmill.frameworks.torch.data import DeviceSplit
from gristmill.frameworks.torch.losses import build_loss
from gristmill.frameworks.torch.optimisers import build_optimiser
from gristmill.frameworks.torch.regularisation import MovingAverage, mixed_loss, penalty
from gristmill.frameworks.torch.schedules import build_schedule
from gristmill.frameworks.torch.state import TrainingState
from gristmill.tasks.protocol import Task

WEIGHTS = "model.safetensors"
_METRICS_EVERY_S = 0.2
_EVALUATION_ROWS = 512
_SAVING_SHARE = 0.02  # of the time may go into checkpoints
_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class TorchTrainer:
    """See frameworks/protocol.Trainer."""

    def train(self, job: TrainJob, watcher: Watcher, weights: Path) -> Trained:
        loop = _Loop(job, watcher)
        loop.run()
        return loop.write(weights)


class _Loop:
    def __init__(self, job: TrainJob, watcher: Watcher) -> None:
        self.job, self.recipe, self.watcher = job, job.recipe, watcher
        _make_deterministic(job)
        self.accelerator = Accelerator(
            cpu=not (job.resources.gpus and torch.cuda.is_available()),
            mixed_precision=_PRECISION[job.recipe.training.precision],
        )
        if self.accelerator.distributed_type not in (DistributedType.NO, DistributedType.MULTI_CPU):
            raise Unprocessable("A run trains on one device; start it without a distributed launcher.")
        self.device = self.accelerator.device
        self.task: Task = plugins.load("tasks", self.recipe.task)()
        self.train, self.validation = DeviceSplit(job.train, self.device), DeviceSplit(job.validation, self.device)
        if self.recipe.regularisation.mixup and not self.train.x.is_floating_point():
            raise Unprocessable(
                "regularisation.mixup mixes real-valued inputs: it does not go with tokens.", field="mixup"
            )
        self.architecture, self.shapes, model = build_model(job)
        self.loss = build_loss(
            self.recipe.loss, self.recipe.loss.name or self.task.default_loss, self.train.y, job.classes
        )
        self._prepare(model)
        training = self.recipe.training
        self.steps_per_epoch = math.ceil(len(self.train) / (training.batch_size * training.accumulate))
        self.total_steps = self.steps_per_epoch * training.epochs
        self.rate = build_schedule(self.recipe.schedule, self.total_steps, self.steps_per_epoch)

    def _prepare(self, model: nn.Module) -> None:
        model = model.to(self.device)
        optimiser = build_optimiser(self.recipe.optimiser, model)
        decay = self.recipe.regularisation.ema
        average = MovingAverage(model, decay) if decay else None
        self.forward: Callable[..., Tensor] = torch.compile(model) if self.recipe.training.compile else model
        self.optimiser: torch.optim.Optimizer = optimiser
        self.backward: Callable[[Tensor], object] = Tensor.backward
        if self.recipe.training.precision != "fp32":  # accelerate adds autocast; the plain module is what is saved
            self.forward, scaled = self.accelerator.prepare(self.forward, optimiser)
            # its backward and step look for packages at every call, a third of a small model's step: only to scale
            if self.accelerator.scaler is not None:
                self.optimiser, self.backward = scaled, self.accelerator.backward
        self.state = TrainingState(model, optimiser, average, self.accelerator.scaler)
        norms = (nn.modules.batchnorm._BatchNorm,)
        self.least_rows = 2 if any(isinstance(part, norms) for part in model.modules()) else 1

    def run(self) -> None:
        state = self.state
        if (saved := load_checkpoint(self.job.checkpoints)) is not None:
            state.restore(saved)
        self._saved_at = self._told_at = self._measured_at = time.monotonic()
        self._save_took_s = 0.0
        while not state.ended and state.epoch < self.recipe.training.epochs:
            self._epoch()
        if not state.ended:
            state.ended = True
            self._save()

    def _epoch(self) -> None:
        state, training = self.state, self.recipe.training
        order = self.train.order(self.job.seed, state.epoch)
        rows = training.batch_size * training.accumulate
        state.model.train()
        while state.place < self.steps_per_epoch:
            if self.watcher.cancelled():
                self._save()
                raise Cancelled
            self._step(order[state.place * rows : (state.place + 1) * rows])
            self._tell()
        self._end_of_epoch()

    def _step(self, places: Tensor) -> None:
        state, regularisation, size = self.state, self.recipe.regularisation, self.recipe.training.batch_size
        for group in state.optimiser.param_groups:
            group["lr"] = self.recipe.optimiser.learning_rate * self.rate(state.step)
        rows = places.shape[0]
        for start in range(0, rows, size):
            count = min(size, rows - start)
            if count < min(self.least_rows, size):
                continue  # batch normalisation has no variance of one row: an epoch's odd last one is left out
            x, y = self.train.rows(places[start : start + size])
            if regularisation.mixup:
                loss = mixed_loss(self.forward, self.loss, x, y, regularisation.mixup)
            else:
                loss = self.loss(self.forward(x), y)
            state.loss_sum.add_(loss.detach(), alpha=count)
            state.loss_rows += count
            self.backward(loss if count == rows else loss * (count / rows))
        if regularisation.l1 or regularisation.l2:
            self.backward(penalty(state.model, regularisation))
        if regularisation.clip_norm is not None:
            self.accelerator.clip_grad_norm_(state.parameters, regularisation.clip_norm)
        self.optimiser.step()
        for parameter in state.parameters:
            parameter.grad = None
        state.step += 1
        state.place += 1
        if state.average is not None:
            state.average.update(state.model, state.step)

    def _tell(self) -> None:
        """Live metrics and checkpoints by the clock: neither touches what is computed."""
        now = time.monotonic()
        if now - self._told_at >= _METRICS_EVERY_S:
            self._told_at = now
            self._metric({"train/loss": self._train_loss()})
        if now - self._saved_at >= self._save_after_s():
            self._save()

    def _save_after_s(self) -> float:
        """As often as asked for; where saving is slow, down to a tenth of that."""
        every = self.job.checkpoint_every_s
        return min(max(every, self._save_took_s / _SAVING_SHARE), 10 * every)

    def _train_loss(self) -> float:
        """Mean over the epoch so far."""
        value = float(self.state.loss_sum) / max(1, self.state.loss_rows)
        if not math.isfinite(value):
            raise Unprocessable(
                f"The loss is not finite after step {self.state.step}: lower optimiser.learning_rate, or set "
                "regularisation.clip_norm."
            )
        return value

    def _end_of_epoch(self) -> None:
        state = self.state
        state.values = {"train/loss": self._train_loss(), **self._validate()}
        state.epoch += 1
        self._metric(state.values)
        state.place = state.loss_rows = 0
        state.loss_sum.zero_()
        self._stop_early()

    def _stop_early(self) -> None:
        state, rule = self.state, self.recipe.training.early_stopping
        if rule is None:
            return
        if rule.metric not in state.values:
            raise Unprocessable(
                f"training.early_stopping.metric {rule.metric!r} is not measured: there are {', '.join(state.values)}."
            )
        if state.patience.improved(rule, state.values, state.epoch):
            state.keep_best()
        state.ended = state.patience.exhausted(rule, state.epoch)

    def _validate(self) -> dict[str, float]:
        """The loss of every epoch; the task's metrics by the clock, where early stopping asks, and of the last one."""
        if not len(self.validation):
            return {}
        output = predict(self.state.evaluated.eval(), self.validation)
        self.state.model.train()
        values = {"validation/loss": float(self.loss(output, self.validation.y))}
        now, training = time.monotonic(), self.recipe.training
        last = self.state.epoch + 1 == training.epochs
        if last or training.early_stopping is not None or now - self._measured_at >= _METRICS_EVERY_S:
            self._measured_at = now
            outputs = self.task.outputs(output.cpu().numpy(), Signature(self.recipe.task, (), ()))
            metrics = self.task.metrics(outputs, self.validation.y.cpu().numpy())
            values |= {f"validation/{name}": value for name, value in metrics.items()}
        return values

    def _metric(self, values: dict[str, float]) -> None:
        state = self.state
        rate = {"learning_rate": float(state.optimiser.param_groups[0]["lr"])}
        self.watcher.metric(state.step, state.step / self.steps_per_epoch, values | rate, self.total_steps)

    def _save(self) -> None:
        began = time.monotonic()
        save_checkpoint(self.job.checkpoints, self.state.checkpoint())
        self._saved_at = time.monotonic()
        self._save_took_s = self._saved_at - began
        self.watcher.checkpointed(self.state.step)

    def write(self, folder: Path) -> Trained:
        state = self.state
        state.take_best()
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.cpu().contiguous() for name, tensor in state.evaluated.state_dict().items()}
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                raise Unprocessable(
                    f"The weights {name!r} are not finite after step {state.step}: lower optimiser.learning_rate, or "
                    "set regularisation.clip_norm."
                )
        write_atomic(folder / WEIGHTS, save(tensors))
        architecture = {**self.architecture, "shapes": {"row": list(self.shapes.row), "outputs": self.shapes.outputs,
                                                        "vocabulary": self.shapes.vocabulary}}  # fmt: skip
        parameters = sum(parameter.numel() for parameter in state.model.parameters())
        return Trained(architecture, "torch", parameters, dict(state.values), state.step)


def build_model(job: TrainJob) -> tuple[dict[str, Any], Shapes, nn.Module]:
    """The recipe's architecture with its initial weights, a function of the seed."""
    (values,) = job.train.inputs.values()
    shapes = Shapes(tuple(values.shape[1:]), job.classes or 1, job.vocabulary or 0)
    architecture = job.recipe.architecture.model_dump()
    if job.recipe.regularisation.dropout:
        architecture.setdefault("dropout", job.recipe.regularisation.dropout)
    torch.manual_seed(job.seed)
    model = build(job.recipe.task, architecture, shapes)
    if isinstance(model, ScaledMLP):
        targets = job.train.targets.astype(np.float64)
        model.target_mean.fill_(float(targets.mean()))
        model.target_std.fill_(float(targets.std()) or 1.0)
    return architecture, shapes, model


@torch.inference_mode()
def predict(module: nn.Module, split: DeviceSplit) -> Tensor:
    """Float32 outputs of every row, in order."""
    return torch.cat([module(x).float() for x, _ in split.batches(_EVALUATION_ROWS)])


def _make_deterministic(job: TrainJob) -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with a fixed workspace
    torch.use_deterministic_algorithms(True, warn_only=bool(job.resources.gpus))
    torch.set_num_threads(max(1, int(job.resources.cores)))
    torch.manual_seed(job.seed)
