"""The course of a training in every framework: epochs of steps, told and saved by the clock, stopped early, resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import numpy as np

from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.core.types import Signature
from gristmill.frameworks.augmentation import check_augmentation
from gristmill.frameworks.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from gristmill.frameworks.early_stopping import Patience
from gristmill.frameworks.protocol import Cancelled, TrainJob, Watcher
from gristmill.frameworks.schedules import build_schedule
from gristmill.tasks.protocol import ModelOutput, Task

_METRICS_EVERY_S = 0.2
_SAVING_SHARE = 0.02  # of the time may go into checkpoints
_PROGRESS = "progress"


class Learner(Protocol):
    """What a framework does in the course: it holds the model, the optimiser, the data and the loss."""

    def train_loss(self) -> float:
        """Mean over the epoch's rows so far."""
        ...

    def forget_loss(self) -> None: ...

    def validate(self) -> tuple[ModelOutput, float]:
        """The model's output of every validation row in order, and its loss; the moving average's weights."""
        ...

    def keep_best(self) -> None: ...

    def take_best(self) -> None:
        """The kept weights become the model's; nothing when none were kept."""
        ...

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """All that changes while training, but for the progress: tensors, and what JSON holds."""
        ...

    def restore(self, tensors: Mapping[str, np.ndarray], numbers: Mapping[str, Any]) -> None: ...


class SteppingLearner(Learner, Protocol):
    """A learner without a loop of its own."""

    def begin_epoch(self, epoch: int, place: int) -> None:
        """`place`: steps of the epoch that are done already, in a resumed run."""
        ...

    def step(self, step: int) -> None: ...


class Progress(msgspec.Struct):
    """`step` counts optimiser steps since the start, `place` those since the epoch's start."""

    step: int = 0
    epoch: int = 0
    place: int = 0
    values: dict[str, float] = msgspec.field(default_factory=dict)  # the last epoch's metrics
    best_values: dict[str, float] = msgspec.field(default_factory=dict)
    patience: Patience = msgspec.field(default_factory=Patience)
    ended: bool = False


class Course:
    """Leads a learner from the newest checkpoint, or the start, to the end.

    `run` is the whole. A framework that brings its loop (Keras's `fit`) calls `begin`, then `before_step` and
    `after_step` around each step, `end_epoch` after each epoch, and `end`.
    """

    def __init__(self, job: TrainJob, watcher: Watcher) -> None:
        self._job, self._watcher = job, watcher
        self._training = job.recipe.training
        check_augmentation(job.recipe.augmentation, job.train)
        self.task: Task = plugins.load("tasks", job.recipe.task)()
        self.rows = self._training.batch_size * self._training.accumulate  # of a step
        self.steps_per_epoch = math.ceil(len(job.train.targets) / self.rows)
        self.total_steps = self.steps_per_epoch * self._training.epochs
        self._factor = build_schedule(job.recipe.schedule, self.total_steps, self.steps_per_epoch)
        self.progress = Progress()

    def learning_rate(self, step: int) -> float:
        return self._job.recipe.optimiser.learning_rate * self._factor(step)

    @property
    def goes_on(self) -> bool:
        return not self.progress.ended and self.progress.epoch < self._training.epochs

    def run(self, learner: SteppingLearner) -> None:
        """Raises Cancelled after a checkpoint, Unprocessable, StorageFull."""
        self.begin(learner)
        while self.goes_on:
            progress = self.progress
            learner.begin_epoch(progress.epoch, progress.place)
            while progress.place < self.steps_per_epoch:
                self.before_step()
                learner.step(progress.step)
                self.after_step()
            self.end_epoch()
        self.end()

    def begin(self, learner: Learner) -> None:
        self._learner = learner
        saved = load_checkpoint(self._job.checkpoints)
        if saved is not None:
            self.progress = msgspec.convert(saved.numbers[_PROGRESS], Progress)
            learner.restore(saved.tensors, saved.numbers)
        self._saved_at = self._told_at = self._measured_at = time.monotonic()
        self._save_took_s = 0.0

    def before_step(self) -> None:
        if self._watcher.cancelled():
            self._save()
            raise Cancelled

    def after_step(self) -> None:
        """Live metrics and checkpoints by the clock: neither touches what is computed."""
        self.progress.step += 1
        self.progress.place += 1
        now = time.monotonic()
        if now - self._told_at >= _METRICS_EVERY_S:
            self._told_at = now
            self._metric({"train/loss": self._train_loss()})
        if self.progress.place < self.steps_per_epoch:  # after the epoch's last step `end_epoch` saves
            self._save_when_due()

    def end_epoch(self) -> None:
        progress = self.progress
        progress.values = {"train/loss": self._train_loss(), **self._validate()}
        progress.epoch += 1
        self._metric(progress.values)
        progress.place = 0
        self._learner.forget_loss()
        self._stop_early()
        self._save_when_due()

    def end(self) -> None:
        """Save what was reached; then the best epoch's weights and metrics, where there is early stopping."""
        if not self.progress.ended:
            self.progress.ended = True
            self._save()
        if self.progress.best_values:
            self._learner.take_best()
            self.progress.values = dict(self.progress.best_values)

    def _train_loss(self) -> float:
        value = self._learner.train_loss()
        if not math.isfinite(value):
            raise Unprocessable(
                f"The loss is not finite after step {self.progress.step}: lower optimiser.learning_rate, or set "
                "regularisation.clip_norm."
            )
        return value

    def _validate(self) -> dict[str, float]:
        """The loss of every epoch; the task's metrics by the clock, where early stopping asks, and of the last one."""
        targets = self._job.validation.targets
        if not len(targets):
            return {}
        output, loss = self._learner.validate()
        values, now = {"validation/loss": loss}, time.monotonic()
        last = self.progress.epoch + 1 == self._training.epochs
        if last or self._training.early_stopping is not None or now - self._measured_at >= _METRICS_EVERY_S:
            self._measured_at = now
            outputs = self.task.outputs(output, Signature(self._job.recipe.task, (), ()))
            metrics = self.task.metrics(outputs | (self._job.validation.references or {}), targets)
            values |= {f"validation/{name}": value for name, value in metrics.items()}
        return values

    def _stop_early(self) -> None:
        progress, rule = self.progress, self._training.early_stopping
        if rule is None:
            return
        if rule.metric not in progress.values:
            known = ", ".join(progress.values)
            raise Unprocessable(f"training.early_stopping.metric {rule.metric!r} is not measured: there are {known}.")
        if progress.patience.improved(rule, progress.values, progress.epoch):
            self._learner.keep_best()
            progress.best_values = dict(progress.values)
        progress.ended = progress.patience.exhausted(rule, progress.epoch)

    def _metric(self, values: dict[str, float]) -> None:
        step = self.progress.step
        rate = {"learning_rate": self.learning_rate(max(0, step - 1))}
        self._watcher.metric(step, step / self.steps_per_epoch, values | rate, self.total_steps)

    def _save_when_due(self) -> None:
        """As often as asked for; where saving is slow, down to a tenth of that."""
        every = self._job.checkpoint_every_s
        if time.monotonic() - self._saved_at >= min(max(every, self._save_took_s / _SAVING_SHARE), 10 * every):
            self._save()

    def _save(self) -> None:
        began = time.monotonic()
        tensors, numbers = self._learner.state()
        progress = {_PROGRESS: msgspec.to_builtins(self.progress)}
        save_checkpoint(self._job.checkpoints, Checkpoint(self.progress.step, tensors, numbers | progress))
        self._saved_at = time.monotonic()
        self._save_took_s = self._saved_at - began
        self._watcher.checkpointed(self.progress.step)


def check_finite(tensors: Mapping[str, np.ndarray], step: int) -> None:
    """Raises Unprocessable naming the weights that are not finite."""
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise Unprocessable(
                f"The weights {name!r} are not finite after step {step}: lower optimiser.learning_rate, or set "
                "regularisation.clip_norm."
            )
