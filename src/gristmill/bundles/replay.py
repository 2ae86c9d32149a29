"""The replay gate: golden inputs and outputs, stored at packaging, must come out again after every load."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gristmill.bundles.manifest import GOLDEN
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.files import write_atomic
from gristmill.core.types import Signature
from gristmill.tasks.protocol import Tensors

_INPUT, _OUTPUT = "input/", "output/"
RELATIVE, ABSOLUTE = 1e-4, 1e-5  # float32 sums in another order differ by less; a lost weight by far more
# Log probabilities by another engine or precision: SmolLM2 in 4 bits, 8 bits and two kinds of bfloat16 differ by 0.23.
_OF_LANGUAGE = 0.4


def write_golden(bundle: Path, inputs: Tensors, outputs: Tensors) -> None:
    """Store raw inputs and the signature's outputs. Strings are kept as fixed-width bytes: no pickle."""
    arrays = {f"{_INPUT}{name}": _storable(values) for name, values in inputs.items()}
    arrays |= {f"{_OUTPUT}{name}": _storable(values) for name, values in outputs.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(bundle / GOLDEN, buffer.getvalue())


def read_golden(bundle: Path) -> tuple[Tensors, Tensors]:
    """Raises CorruptBundle when it is absent or not a golden file."""
    try:
        with np.load(bundle / GOLDEN, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise CorruptBundle(f"{GOLDEN} cannot be read: {error}.", file=GOLDEN) from None
    inputs = {name.removeprefix(_INPUT): _raw(values) for name, values in arrays.items() if name.startswith(_INPUT)}
    outputs = {name.removeprefix(_OUTPUT): _raw(values) for name, values in arrays.items() if name.startswith(_OUTPUT)}
    if not inputs or not outputs:
        raise CorruptBundle(f"{GOLDEN} holds no golden examples.", file=GOLDEN)
    return inputs, outputs


def replay(bundle: Path, signature: Signature, predict: Callable[[Tensors], Tensors]) -> None:
    """Raises Unprocessable naming the output that came out otherwise, CorruptBundle when there is nothing to replay."""
    inputs, expected = read_golden(bundle)
    given = predict(inputs)
    absolute = ABSOLUTE if signature.language is None else _OF_LANGUAGE
    for name, values in expected.items():
        got = given.get(name)
        if got is None or got.shape != values.shape:
            raise Unprocessable(f"The version no longer gives its golden output {name!r}: it is refused.", field=name)
        if not same(got, values, absolute):
            worst = float(np.nanmax(np.abs(got - values))) if values.dtype.kind == "f" else None
            raise Unprocessable(
                f"The version no longer gives its golden answers: output {name!r} differs"
                f"{'' if worst is None else f' by up to {worst:.3g}'}; it is refused.",
                field=name,
            )


def same(got: np.ndarray, expected: np.ndarray, absolute: float = ABSOLUTE) -> bool:
    if got.shape != expected.shape:
        return False
    if expected.dtype.kind == "f":
        # values in a unit of thousands cross zero with the rounding of thousands
        unit = max(1.0, float(np.abs(expected).max(initial=0.0, where=np.isfinite(expected))))
        unit = 1.0 if absolute == _OF_LANGUAGE else unit  # log probabilities have one unit
        return bool(np.allclose(got, expected, rtol=RELATIVE, atol=absolute * unit))
    return bool(np.array_equal(got, expected))


def _storable(values: np.ndarray) -> np.ndarray:
    if values.dtype != object:
        return values
    return np.array([item if isinstance(item, bytes) else str(item).encode() for item in values.ravel()]).reshape(
        values.shape
    )


def _raw(values: np.ndarray) -> np.ndarray:
    return values.astype(object) if values.dtype.kind == "S" else values
