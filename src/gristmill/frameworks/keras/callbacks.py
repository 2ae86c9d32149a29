"""Keras's `fit` told to the course of the training: live metrics, checkpoints, early stopping and cancelling."""

from __future__ import annotations

from typing import Any

import keras

from gristmill.frameworks.training import Course


class CourseCallback(keras.callbacks.Callback):
    """`fit` counts epochs and steps; what they mean for the run is the course's."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self._course = course

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._course.before_step()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._course.after_step()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._course.end_epoch()
        self.model.stop_training = not self._course.goes_on
