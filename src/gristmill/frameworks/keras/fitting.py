"""The model that `fit` drives: Keras's loop around our training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class Fitted(keras.Model):
    """`update(x, y)` computes one optimiser step and gives the epoch's mean loss so far."""

    def __init__(self, model: Any, update: Callable[[Any, Any], Any], optimiser: Any) -> None:
        super().__init__()
        self._fitted, self._update = model, update
        self.compile(optimizer=optimiser, jit_compile=False)  # the step compiles its own part where asked to
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        return self._fitted(x, training=training)

    def train_step(self, data: tuple[Any, Any]) -> dict[str, Any]:
        return {"loss": self._update(*data)}
