"""Training in PyTorch, on accelerate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors.torch import save
from torch import Tensor, nn

from gristmill.core.errors import Unprocessable
from gristmill.core.files import write_atomic
from gristmill.frameworks.architectures import Shapes, chosen
from gristmill.frameworks.on_torch.augmentation import augmented
from gristmill.frameworks.on_torch.data import DeviceSplit
from gristmill.frameworks.on_torch.determinism import make_deterministic
from gristmill.frameworks.on_torch.losses import build_loss
from gristmill.frameworks.on_torch.optimisers import build_optimiser
from gristmill.frameworks.on_torch.regularisation import MovingAverage, mixed_loss, penalty
from gristmill.frameworks.on_torch.state import TrainingState
from gristmill.frameworks.protocol import Trained, TrainJob, Watcher
from gristmill.frameworks.torch.architectures.shapes import build, laid_out
from gristmill.frameworks.torch.own_model import build_module, save_program
from gristmill.frameworks.training import Course, Progress, check_finite

WEIGHTS = "model.safetensors"
_EVALUATION_ROWS = 512
_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class TorchTrainer:
    """See frameworks/protocol.Trainer."""

    def train(self, job: TrainJob, watcher: Watcher, weights: Path) -> Trained:
        make_deterministic(job)
        course = Course(job, watcher)
        learner = TorchLearner(job, course)
        course.run(learner)
        return learner.write(weights, course.progress)


class TorchLearner:
    """See frameworks/training.SteppingLearner."""

    def __init__(self, job: TrainJob, course: Course) -> None:
        self.job, self.recipe, self._rows, self._rate = job, job.recipe, course.rows, course.learning_rate
        self.accelerator = Accelerator(
            cpu=not (job.resources.gpus and torch.cuda.is_available()),
            mixed_precision=_PRECISION[job.recipe.training.precision],
        )
        if self.accelerator.distributed_type not in (DistributedType.NO, DistributedType.MULTI_CPU):
            raise Unprocessable("A run trains on one device; start it without a distributed launcher.")
        device = self.accelerator.device
        self.train, self.validation = DeviceSplit(job.train, device), DeviceSplit(job.validation, device)
        if self.recipe.regularisation.mixup and not self.train.x.is_floating_point():
            raise Unprocessable(
                "regularisation.mixup mixes real-valued inputs: it does not go with tokens.", field="mixup"
            )
        self.architecture, self.shapes, model = build_model(job)
        self.loss = build_loss(
            self.recipe.loss, self.recipe.loss.name or course.task.default_loss, self.train.y, job.classes
        )
        self._prepare(model.to(device))

    def _prepare(self, model: nn.Module) -> None:
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
        self._state = TrainingState(model, optimiser, average, self.accelerator.scaler)
        norms = (nn.modules.batchnorm._BatchNorm,)
        self.least_rows = 2 if any(isinstance(part, norms) for part in model.modules()) else 1

    def begin_epoch(self, epoch: int, place: int) -> None:
        self._order, self._place = self.train.order(self.job.seed, epoch), place
        self._state.model.train()

    def step(self, step: int) -> None:
        state, regularisation = self._state, self.recipe.regularisation
        for group in state.optimiser.param_groups:
            group["lr"] = self._rate(step)
        self._gradients(self._order[self._place * self._rows : (self._place + 1) * self._rows])
        self._place += 1
        if regularisation.l1 or regularisation.l2:
            self.backward(penalty(state.model, regularisation))
        if regularisation.clip_norm is not None:
            self.accelerator.clip_grad_norm_(state.parameters, regularisation.clip_norm)
        self.optimiser.step()
        for parameter in state.parameters:
            parameter.grad = None
        if state.average is not None:
            state.average.update(state.model, step + 1)

    def _gradients(self, places: Tensor) -> None:
        """Of the mean loss over the step's rows, in forward passes of `batch_size` rows."""
        state, mixup, size = self._state, self.recipe.regularisation.mixup, self.recipe.training.batch_size
        rows = places.shape[0]
        for start in range(0, rows, size):
            count = min(size, rows - start)
            if count < min(self.least_rows, size):
                continue  # batch normalisation has no variance of one row: an epoch's odd last one is left out
            x, y = self.train.rows(places[start : start + size])
            x = augmented(x, self.recipe.augmentation)
            loss = mixed_loss(self.forward, self.loss, x, y, mixup) if mixup else self.loss(self.forward(x), y)
            state.loss_sum.add_(loss.detach(), alpha=count)
            state.loss_rows += count
            self.backward(loss if count == rows else loss * (count / rows))

    def train_loss(self) -> float:
        return float(self._state.loss_sum) / max(1, self._state.loss_rows)

    def forget_loss(self) -> None:
        self._state.loss_rows = 0
        self._state.loss_sum.zero_()

    def validate(self) -> tuple[np.ndarray, float]:
        output = predict(self._state.evaluated.eval(), self.validation)
        self._state.model.train()
        return output.cpu().numpy(), float(self.loss(output, self.validation.y))

    def keep_best(self) -> None:
        self._state.keep_best()

    def take_best(self) -> None:
        self._state.take_best()

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return self._state.save()

    def restore(self, tensors: Mapping[str, np.ndarray], numbers: Mapping[str, Any]) -> None:
        self._state.restore(tensors, numbers)

    def write(self, folder: Path, progress: Progress) -> Trained:
        module = self._state.evaluated
        tensors = {name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}
        check_finite({name: tensor.numpy() for name, tensor in tensors.items()}, progress.step)
        folder.mkdir(parents=True, exist_ok=True)
        parameters = sum(parameter.numel() for parameter in self._state.parameters)
        if self.job.own is not None:
            (name,) = self.job.train.inputs
            program = save_program(module.cpu(), example_of(self.job), folder, name)
            return Trained(program, "torch-export", parameters, dict(progress.values), progress.step)
        write_atomic(folder / WEIGHTS, save(tensors))
        known = ("row", "outputs", "vocabulary", *(("targets",) if self.shapes.targets else ()))
        shapes = {name: msgspec.to_builtins(getattr(self.shapes, name)) for name in known}
        architecture = {**self.architecture, "shapes": shapes}
        return Trained(architecture, "torch", parameters, dict(progress.values), progress.step)


def build_model(job: TrainJob) -> tuple[dict[str, Any], Shapes, nn.Module]:
    """The recipe's architecture with its initial weights, a function of the seed."""
    architecture, shapes = chosen(job)
    torch.manual_seed(job.seed)
    if job.own is not None:
        return architecture, shapes, build_module(job.own, architecture, shapes, example_of(job))
    return architecture, shapes, laid_out(build(job.recipe.task, architecture, shapes))


def example_of(job: TrainJob) -> Tensor:
    """Three training rows: no dimension of the batch that a tracer takes for fixed."""
    return torch.from_numpy(np.ascontiguousarray(job.train.first(3)))


@torch.inference_mode()
def predict(module: nn.Module, split: DeviceSplit) -> Tensor:
    """Float32 outputs of every row, in order."""
    return torch.cat([module(x).float() for x, _ in split.batches(_EVALUATION_ROWS)])
