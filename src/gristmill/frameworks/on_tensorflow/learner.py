"""A training step and all that changes by it, for Keras and TensorFlow alike: the graph that updates the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.on_tensorflow.augmentation import augmented
from gristmill.frameworks.on_tensorflow.data import TensorSplit
from gristmill.frameworks.on_tensorflow.devices import summed
from gristmill.frameworks.on_tensorflow.losses import build_loss
from gristmill.frameworks.on_tensorflow.optimisers import build_optimiser
from gristmill.frameworks.on_tensorflow.regularisation import clipped, follow, mixture, penalty
from gristmill.frameworks.protocol import TrainJob
from gristmill.frameworks.training import Course
from gristmill.tasks.recipe import Recipe

_EVALUATION_ROWS = 512
# how a variable's copies on several devices stay one: equal on each, or the sum of all
_ALIKE = tf.VariableAggregation.ONLY_FIRST_REPLICA
_ADDED = {"synchronization": tf.VariableSynchronization.ON_READ, "aggregation": tf.VariableAggregation.SUM}


class Network(Protocol):
    """A model of one framework, as the step sees it."""

    @property
    def trainable(self) -> Sequence[Any]: ...

    @property
    def weights(self) -> Sequence[Any]:
        """What is evaluated and saved: the trainable variables and the batch statistics."""
        ...

    @property
    def chance(self) -> Sequence[Any]:
        """Variables that its randomness comes from."""
        ...

    def forward(self, x: Any, seed: Any | None) -> Any:
        """float32 [N, K]; `seed` int64 [2] in training, None in evaluation."""
        ...


class GraphLearner:
    """See frameworks/training.Learner. `network` is trained, `evaluated` measured and saved.

    They are one where `needs_twin` says so, else `evaluated` is the other's twin in float32 on one device.
    All randomness follows from (seed, step) or from `network.chance`, both of which a checkpoint holds.
    """

    def __init__(self, job: TrainJob, course: Course, network: Network, evaluated: Network) -> None:
        self.job, self.recipe, self.network, self.evaluated = job, job.recipe, network, evaluated
        self.train, self.validation = TensorSplit(job.train), TensorSplit(job.validation)
        _refuse_what_cannot_be(job, self.train)
        name = self.recipe.loss.name or course.task.default_loss
        self.loss = build_loss(self.recipe.loss, name, job.train.targets, job.classes)
        self.trainable = list(network.trainable)
        rates = [course.learning_rate(step) for step in range(course.total_steps)]
        self.optimiser = build_optimiser(self.recipe.optimiser, rates, self.trainable)
        self.average = self._copies() if self.recipe.regularisation.ema else []
        self.best: list[np.ndarray] = []
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False, aggregation=_ALIKE)
        self.loss_sum, self.loss_rows = (
            tf.Variable(0.0, dtype=tf.float64, trainable=False, **_ADDED) for _ in range(2)
        )
        self._pass: Callable[..., Any] = self._forward_and_back
        if self.recipe.training.compile:
            self._pass = tf.function(self._forward_and_back, jit_compile=True, reduce_retracing=True)
        given = tf.TensorSpec([None, *self.train.row], self.train.x.dtype)
        self._predict = tf.function(lambda x: evaluated.forward(x, None), input_signature=[given])

    def _copies(self) -> list[Any]:
        return [tf.Variable(variable, trainable=False, aggregation=_ALIKE) for variable in self.network.weights]

    def update(self, x: Any, y: Any) -> Any:
        """One optimiser step on rows x, y, inside a graph; the epoch's mean loss so far."""
        regularisation = self.recipe.regularisation
        seed = tf.stack([tf.constant(self.job.seed % 2**63, tf.int64), self.steps])
        gradients = clipped(self._gradients(x, y, seed), regularisation.clip_norm)
        self.optimiser.apply(gradients, self.trainable)
        self.steps.assign_add(1)
        if self.average:
            follow(self.average, self.network.weights, regularisation.ema, self.steps)
        return self.loss_sum / self.loss_rows

    def _gradients(self, x: Any, y: Any, seed: Any) -> Sequence[Any]:
        """Of the mean loss over the step's rows, in forward passes of `batch_size` rows, and of the penalties."""
        rows = summed(tf.shape(y)[0])
        accumulated = self.recipe.training.accumulate > 1
        gradients = summed(self._accumulated(x, y, seed, rows) if accumulated else self._counted(x, y, seed, rows))
        if not (self.recipe.regularisation.l1 or self.recipe.regularisation.l2):
            return gradients
        with tf.GradientTape() as tape:
            added = penalty(self.trainable, self.recipe.regularisation)
        extra = tape.gradient(added, self.trainable, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [gradient + more for gradient, more in zip(gradients, extra, strict=True)]

    def _accumulated(self, x: Any, y: Any, seed: Any, rows: Any) -> Sequence[Any]:
        size = self.recipe.training.batch_size

        def add(start: Any, sums: Sequence[Any]) -> tuple[Any, list[Any]]:
            part = slice(start, start + size)
            found = self._counted(x[part], y[part], tf.random.experimental.stateless_fold_in(seed, start), rows)
            return start + size, [total + gradient for total, gradient in zip(sums, found, strict=True)]

        nothing = [tf.zeros(variable.shape) for variable in self.trainable]
        goes_on = lambda start, _: start < tf.shape(y)[0]  # noqa: E731
        _, sums = tf.while_loop(goes_on, add, (tf.constant(0), nothing), parallel_iterations=1)
        found: Sequence[Any] = sums
        return found

    def _counted(self, x: Any, y: Any, seed: Any, rows: Any) -> list[Any]:
        """The pass's share in the step's gradients; its loss is noted."""
        loss, gradients = self._pass(x, y, seed)
        count = tf.cast(tf.shape(y)[0], tf.float64)
        self.loss_sum.assign_add(tf.math.multiply_no_nan(tf.cast(loss, tf.float64), count))
        self.loss_rows.assign_add(count)
        share = tf.cast(count, tf.float32) / tf.cast(rows, tf.float32)
        # a device that got no row of an epoch's last step has no mean, and no share either
        return [tf.math.multiply_no_nan(gradient, share) for gradient in gradients]

    def _forward_and_back(self, x: Any, y: Any, seed: Any) -> tuple[Any, list[Any]]:
        alpha = self.recipe.regularisation.mixup
        x = augmented(x, self.recipe.augmentation, seed)
        with tf.GradientTape() as tape:
            if alpha:
                share, partner = mixture(tf.shape(y)[0], alpha, seed)
                output = self.network.forward(share * x + (1 - share) * tf.gather(x, partner), seed)
                loss = share * self.loss(output, y) + (1 - share) * self.loss(output, tf.gather(y, partner))
            else:
                loss = self.loss(self.network.forward(x, seed), y)
        found = tape.gradient(loss, self.trainable, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, [tf.convert_to_tensor(gradient) for gradient in found]  # an embedding's rows become a matrix

    def train_loss(self) -> float:
        return float(tf.convert_to_tensor(self.loss_sum)) / max(1.0, float(tf.convert_to_tensor(self.loss_rows)))

    def forget_loss(self) -> None:
        self.loss_sum.assign(0.0)
        self.loss_rows.assign(0.0)

    def validate(self) -> tuple[np.ndarray, float]:
        self.settle()
        output = tf.concat([self._predict(x) for x in self.validation.batches(_EVALUATION_ROWS)], axis=0)
        return output.numpy(), float(self.loss(output, self.validation.y))

    def settle(self) -> None:
        """The weights that count into `evaluated`: the moving average where there is one."""
        if self.evaluated is self.network:
            return
        for kept, value in zip(self.evaluated.weights, self.average or self.network.weights, strict=True):
            kept.assign(value)

    def settle_unless_best(self) -> None:
        """At the end: early stopping's best weights stand in `evaluated` already."""
        if not self.best:
            self.settle()

    def keep_best(self) -> None:
        self.best = [variable.numpy() for variable in self.evaluated.weights]

    def take_best(self) -> None:
        for kept, value in zip(self.evaluated.weights, self.best, strict=True):
            kept.assign(value)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors = {name: tf.convert_to_tensor(variable).numpy() for name, variable in self._changing().items()}
        return tensors | {f"best/{place}": values for place, values in enumerate(self.best)}, {}

    def restore(self, tensors: Mapping[str, np.ndarray], numbers: Mapping[str, Any]) -> None:
        for name, variable in self._changing().items():
            variable.assign(tensors[name])
        kept = sum(name.startswith("best/") for name in tensors)
        self.best = [tensors[f"best/{place}"] for place in range(kept)]

    def _changing(self) -> dict[str, Any]:
        groups = {"model": self.network.weights, "chance": self.network.chance, "average": self.average,
                  "optimiser": self.optimiser.variables}  # fmt: skip
        named = {f"{name}/{place}": variable for name, group in groups.items() for place, variable in enumerate(group)}
        return named | {"steps": self.steps, "loss_sum": self.loss_sum, "loss_rows": self.loss_rows}


def needs_twin(recipe: Recipe) -> bool:
    """Whether what is evaluated differs from what is trained: in its weights, or in how it computes."""
    return bool(recipe.regularisation.ema) or recipe.training.precision != "fp32"


def _refuse_what_cannot_be(job: TrainJob, train: TensorSplit) -> None:
    if job.recipe.regularisation.mixup and train.tokens:
        raise Unprocessable("regularisation.mixup mixes real-valued inputs: it does not go with tokens.", field="mixup")
    if job.recipe.training.precision == "fp16":
        raise Unprocessable(
            "training.precision fp16 needs a scaled loss, which only torch has here: set it to bf16.", field="precision"
        )
