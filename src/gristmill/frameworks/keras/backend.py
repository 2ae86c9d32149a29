"""What Keras computes with: TensorFlow, whatever the user's own configuration says."""

from __future__ import annotations

import keras

from gristmill.core.errors import Unprocessable


def check_backend() -> None:
    """Raises Unprocessable when the environment or ~/.keras/keras.json has chosen another for this process."""
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise Unprocessable(
            f"Keras is set to the backend {backend!r}, and computes with TensorFlow here: unset KERAS_BACKEND, or set "
            "it to tensorflow.", field="framework", got=backend,
        )  # fmt: skip
