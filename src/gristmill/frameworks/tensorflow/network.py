"""What every architecture of TensorFlow is: a module with one forward pass, in training and in evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class TensorFlowNetwork(tf.Module):
    """See frameworks/on_tensorflow/learner.Network. `compute`: the precision of a training pass."""

    compute = tf.float32
    differentiable = True  # at what `embed` gives

    def forward(self, x: Any, seed: Any | None) -> Any:
        """float32 [N, K] of model inputs; `seed` int64 [2] in training, None in evaluation."""
        return self.from_values(self.embed(x), x, seed)

    def embed(self, x: Any) -> Any:
        """The real values that the model computes with: the inputs themselves, or their tokens' embeddings."""
        return x

    def from_values(self, values: Any, x: Any, seed: Any | None) -> Any:
        """`forward` from `embed(x)` on."""
        raise NotImplementedError

    @property
    def trainable(self) -> Sequence[Any]:
        return self.trainable_variables

    @property
    def weights(self) -> Sequence[Any]:
        return self.variables

    @property
    def chance(self) -> Sequence[Any]:
        return ()
