"""Training through Transformers' own Trainer, with PEFT's adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.on_torch.data import DeviceSplit
from gristmill.frameworks.on_torch.determinism import make_deterministic
from gristmill.frameworks.on_torch.losses import build_loss
from gristmill.frameworks.on_torch.optimisers import build_optimiser
from gristmill.frameworks.on_torch.state import TrainingState
from gristmill.frameworks.protocol import Trained, TrainJob, Watcher
from gristmill.frameworks.training import Course, Progress, check_finite
from gristmill.frameworks.transformers.starting_model import merged, starting_model

_EVALUATION_ROWS = 128
_NOT_HERE = ("l1", "l2", "mixup", "ema")


class TransformersTrainer:
    """See frameworks/protocol.Trainer."""

    def train(self, job: TrainJob, watcher: Watcher, weights: Path) -> Trained:
        _check(job)
        make_deterministic(job)
        course = Course(job, watcher)
        learner = TransformersLearner(job, course)
        course.begin(learner)
        while course.goes_on:
            learner.fit()
        course.end()
        return learner.write(weights, course.progress)


class TransformersLearner:
    """See frameworks/training.Learner."""

    def __init__(self, job: TrainJob, course: Course) -> None:
        self.job, self._course = job, course
        self._device = torch.device("cuda" if job.resources.gpus and torch.cuda.is_available() else "cpu")
        model, self._padding = starting_model(job)
        self._model = model.to(self._device)
        self.train, self.validation = (DeviceSplit(split, self._device, self._padding)
                                       for split in (job.train, job.validation))  # fmt: skip
        name = job.recipe.loss.name or course.task.default_loss
        self._loss = build_loss(job.recipe.loss, name, self.train.y, job.classes)
        self._state = TrainingState(self._model, build_optimiser(job.recipe.optimiser, self._model), None, None)

    def fit(self) -> None:
        """All epochs that are left; of a resumed run first the rest of the one that was broken off."""
        progress, recipe = self._course.progress, self.job.recipe
        epochs = 1 if progress.place else recipe.training.epochs - progress.epoch
        begun, rate = progress.step, recipe.optimiser.learning_rate
        schedule = LambdaLR(self._state.optimiser, lambda done: self._course.learning_rate(begun + done) / rate)
        with torch.random.fork_rng():  # the Trainer sets the seed anew, and chance goes on from where it stands
            trainer = CourseTrainer(
                model=self._model, args=self._arguments(epochs), optimizers=(self._state.optimiser, schedule),
                callbacks=[CourseCallback(self._course)], compute_loss_func=self._batch_loss,
            )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.batches = Batches(self, self._course)
        trainer.train()

    def _arguments(self, epochs: int) -> TrainingArguments:
        training, clip = self.job.recipe.training, self.job.recipe.regularisation.clip_norm
        return TrainingArguments(
            output_dir=str(self.job.checkpoints), num_train_epochs=epochs, seed=self.job.seed,
            per_device_train_batch_size=training.batch_size, gradient_accumulation_steps=training.accumulate,
            max_grad_norm=clip or 0.0, bf16=training.precision == "bf16", fp16=training.precision == "fp16",
            torch_compile=training.compile, use_cpu=self._device.type == "cpu", save_strategy="no",
            logging_strategy="no", eval_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip

    def _batch_loss(self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """The batch's share of the mean loss over the step's rows."""
        count = len(labels)
        loss = self._loss(outputs.logits, labels)
        self._state.loss_sum.add_(loss.detach(), alpha=count)
        self._state.loss_rows += count
        return loss * (count / num_items_in_batch) if num_items_in_batch is not None else loss

    def given(self, x: Tensor) -> dict[str, Tensor]:
        """Model tensors as the model's forward names them."""
        if x.is_floating_point():
            return {"pixel_values": x}
        return {"input_ids": x, "attention_mask": (x != self._padding).long()}

    def train_loss(self) -> float:
        return float(self._state.loss_sum) / max(1, self._state.loss_rows)

    def forget_loss(self) -> None:
        self._state.loss_rows = 0
        self._state.loss_sum.zero_()

    @torch.no_grad()
    def validate(self) -> tuple[np.ndarray, float]:
        self._model.eval()
        parts = [self._model(**self.given(x)).logits.float() for x, _ in self.validation.batches(_EVALUATION_ROWS)]
        self._model.train()
        output = torch.cat(parts)
        return output.cpu().numpy(), float(self._loss(output, self.validation.y))

    def keep_best(self) -> None:
        self._state.keep_best()

    def take_best(self) -> None:
        self._state.take_best()

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return self._state.save()

    def restore(self, tensors: Mapping[str, np.ndarray], numbers: Mapping[str, Any]) -> None:
        self._state.restore(tensors, numbers)

    def write(self, folder: Path, progress: Progress) -> Trained:
        trained = sum(parameter.numel() for parameter in self._state.parameters if parameter.requires_grad)
        model = merged(self._model).cpu()
        check_finite({name: tensor.numpy() for name, tensor in model.state_dict().items()}, progress.step)
        model.save_pretrained(folder)
        architecture = {"name": type(model).__name__, "padding": self._padding, "trained_parameters": trained}
        parameters = sum(parameter.numel() for parameter in model.parameters())
        return Trained(architecture, "transformers", parameters, dict(progress.values), progress.step)


class Batches:
    """What is left of the epoch that the course is in, batch by batch: an order that follows from seed and epoch."""

    def __init__(self, learner: TransformersLearner, course: Course) -> None:
        self._learner, self._course = learner, course
        self._size = learner.job.recipe.training.batch_size

    def __len__(self) -> int:
        return -(-(len(self._learner.train) - self._course.progress.place * self._course.rows) // self._size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        learner, progress = self._learner, self._course.progress
        order = learner.train.order(learner.job.seed, progress.epoch)
        for start in range(progress.place * self._course.rows, len(order), self._size):
            x, y = learner.train.rows(order[start : start + self._size])
            yield learner.given(x) | {"labels": y}


class CourseTrainer(Trainer):
    batches: Batches

    def get_train_dataloader(self) -> Any:
        return self.batches


class CourseCallback(TrainerCallback):
    """The Trainer's loop told to the course: live metrics, checkpoints, early stopping and cancelling."""

    def __init__(self, course: Course) -> None:
        self._course = course

    def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._course.before_step()

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._course.after_step()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._course.end_epoch()
        control.should_training_stop = not self._course.goes_on


def _check(job: TrainJob) -> None:
    asked = next((name for name in _NOT_HERE if getattr(job.recipe.regularisation, name)), None)
    if asked is not None:
        raise Unprocessable(f"Transformers' Trainer has no regularisation.{asked}: leave it out, or train in torch.",
                            field=f"regularisation.{asked}")  # fmt: skip
    if job.own is not None:
        raise Unprocessable("Transformers trains its own models: give model code to torch, keras or tensorflow.",
                            field="model")  # fmt: skip
