"""Training in TensorFlow itself: `tf.data`, a step compiled by `tf.function`, gradients by the tape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import tensorflow as tf

from gristmill.frameworks.architectures import chosen
from gristmill.frameworks.on_tensorflow.devices import make_deterministic, strategy, use_granted
from gristmill.frameworks.on_tensorflow.learner import GraphLearner, needs_twin
from gristmill.frameworks.protocol import Trained, TrainJob, Watcher
from gristmill.frameworks.tensorflow.architectures.shapes import build
from gristmill.frameworks.tensorflow.network import TensorFlowNetwork
from gristmill.frameworks.tensorflow.own_model import build_network
from gristmill.frameworks.tensorflow.weights import save_network
from gristmill.frameworks.training import Course, Progress, check_finite


class TensorFlowTrainer:
    """See frameworks/protocol.Trainer."""

    def train(self, job: TrainJob, watcher: Watcher, weights: Path) -> Trained:
        use_granted(job.resources)
        make_deterministic(job.seed)
        course = Course(job, watcher)
        learner = TensorFlowLearner(job, course)
        course.run(learner)
        return learner.write(weights, course.progress)


class TensorFlowLearner(GraphLearner):
    """See frameworks/training.SteppingLearner."""

    evaluated: TensorFlowNetwork

    def __init__(self, job: TrainJob, course: Course) -> None:
        self.architecture, self.shapes = chosen(job)
        self._strategy, self._rows = strategy(), course.rows
        mirrored = self._strategy.num_replicas_in_sync > 1
        twin = self._build(job) if mirrored or needs_twin(job.recipe) else None
        with self._strategy.scope():
            network = self._build(job)
            if job.recipe.training.precision == "bf16":
                network.compute = tf.bfloat16
            super().__init__(job, course, network, twin or network)
        self._steps: Any = None
        self._step = tf.function(lambda steps: self._strategy.run(self.update, next(steps)))

    def _build(self, job: TrainJob) -> TensorFlowNetwork:
        if job.own is None:
            return build(job.recipe.task, self.architecture, self.shapes)
        make_deterministic(job.seed)  # the twins start from the same chance
        return build_network(job, self.architecture, self.shapes)

    def begin_epoch(self, epoch: int, place: int) -> None:
        """One pipeline for all epochs that are left: to make one anew takes as long as many steps."""
        if self._steps is None:
            steps = self.train.stream(self.job.seed, epoch, self.recipe.training.epochs, self._rows, place)
            self._steps = iter(self._strategy.experimental_distribute_dataset(steps))

    def step(self, step: int) -> None:
        self._step(self._steps)

    def write(self, folder: Path, progress: Progress) -> Trained:
        self.settle_unless_best()
        check_finite({variable.name: variable.numpy() for variable in self.evaluated.weights}, progress.step)
        folder.mkdir(parents=True, exist_ok=True)
        (name,) = self.job.train.inputs
        save_network(self.evaluated, folder, name, self.train.row, self.train.x.dtype)
        parameters = sum(int(tf.size(variable)) for variable in self.evaluated.trainable)
        architecture = {**self.architecture, "shapes": msgspec.to_builtins(self.shapes)}
        return Trained(architecture, "tensorflow", parameters, dict(progress.values), progress.step)
