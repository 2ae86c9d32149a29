"""Training in Keras, through `fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gristmill.frameworks.architectures import chosen
from gristmill.frameworks.keras.architectures.shapes import build
from gristmill.frameworks.keras.backend import check_backend
from gristmill.frameworks.keras.callbacks import CourseCallback
from gristmill.frameworks.keras.fitting import Fitted
from gristmill.frameworks.keras.network import KerasNetwork
from gristmill.frameworks.keras.weights import save_model
from gristmill.frameworks.on_tensorflow.devices import make_deterministic, use_granted
from gristmill.frameworks.on_tensorflow.learner import GraphLearner, needs_twin
from gristmill.frameworks.protocol import Trained, TrainJob, Watcher
from gristmill.frameworks.training import Course, Progress, check_finite


class KerasTrainer:
    """See frameworks/protocol.Trainer."""

    def train(self, job: TrainJob, watcher: Watcher, weights: Path) -> Trained:
        check_backend()
        use_granted(job.resources)
        make_deterministic(job.seed)
        course = Course(job, watcher)
        learner = KerasLearner(job, course)
        course.begin(learner)
        while course.goes_on:
            learner.fit(course)
        course.end()
        return learner.write(weights, course.progress)


class KerasLearner(GraphLearner):
    """See frameworks/training.Learner."""

    evaluated: KerasNetwork

    def __init__(self, job: TrainJob, course: Course) -> None:
        self.architecture, self.shapes = chosen(job)
        network = self._build(job, job.recipe.training.precision)
        evaluated = self._build(job, "fp32") if needs_twin(job.recipe) else network
        super().__init__(job, course, network, evaluated)
        self._fitted = Fitted(network.model, self.update, self.optimiser)

    def _build(self, job: TrainJob, precision: str) -> KerasNetwork:
        return build(job.recipe.task, self.architecture, self.shapes, precision, job.own)

    def fit(self, course: Course) -> None:
        """All epochs that are left; of a resumed run first the rest of the one that was broken off."""
        progress, epochs = course.progress, self.recipe.training.epochs
        last = progress.epoch + 1 if progress.place else epochs
        steps = self.train.stream(self.job.seed, progress.epoch, last, course.rows, progress.place)
        self._fitted.fit(
            steps,
            initial_epoch=progress.epoch,
            epochs=last,
            steps_per_epoch=course.steps_per_epoch - progress.place,
            callbacks=[CourseCallback(course)],
            shuffle=False,
            verbose=0,
        )

    def write(self, folder: Path, progress: Progress) -> Trained:
        self.settle_unless_best()
        model: Any = self.evaluated.model
        check_finite({variable.path: variable.numpy() for variable in model.weights}, progress.step)
        save_model(model, folder)
        parameters = sum(variable.numpy().size for variable in model.trainable_variables)
        architecture = {**self.architecture, "shapes": msgspec.to_builtins(self.shapes)}
        return Trained(architecture, "keras", parameters, dict(progress.values), progress.step)
