"""Keras's old `.h5` into `.keras`."""

from __future__ import annotations

from pathlib import Path

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.keras.archive import check_archive


class KerasConverter:
    """See frameworks/importing.Converter."""

    sources = (".h5", ".hdf5")
    target = ".keras"

    def convert(self, source: Path, target: Path, trust_code: bool) -> int:
        """Layers that hold code stay refused: no `.keras` of them could be served."""
        import keras

        try:
            model = keras.saving.load_model(source, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises whatever its layers raise
            raise Unprocessable(
                f"{source.name} cannot be converted: Keras {keras.__version__} does not open it without code of its "
                "layers.", field="source",
            ) from error  # fmt: skip
        model.save(target)
        check_archive(target)
        return len(model.weights)
