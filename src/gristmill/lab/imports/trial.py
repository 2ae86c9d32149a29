"""Seeded random inputs that fit a signature, and what a model makes of them: its golden examples, its true outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gristmill.bundles.replay import same
from gristmill.core.errors import GristmillError, Unprocessable
from gristmill.core.types import DTYPES, Scores, TensorSpec
from gristmill.tasks.protocol import ModelOutput, Tensors

ROWS = 4
_MANY_ROWS, _AT_ONCE = 256, 32
_MOST_VALUES = 2**26  # of a row: 4 rows of them take a gigabyte in float32
_SEED = 20170612
_TEXT = (b"Every miller draws water to his own mill.", b"All is grist.", b"The mill cannot grind with past water.")
# Sizes for free dimensions and an end for whole numbers (token ids, masks), tried until the model takes them.
_ATTEMPTS = ((7, 100), (7, 2), (32, 2), (64, 2), (224, 2))
_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}


class Trial(NamedTuple):
    """What was asked and answered, and the `free` size and `end` of whole numbers that the model took."""

    inputs: Tensors
    outputs: Tensors
    free: int
    end: int


def random_inputs(specs: Sequence[TensorSpec], rows: int, free: int, end: int) -> Tensors:
    """Normal numbers, whole ones in [low, end), pixels in their whole range, sentences."""
    chance = np.random.default_rng(_SEED)
    return {spec.name: _values(spec, (rows, *(free if size < 0 else size for size in spec.shape[1:])), end, chance)
            for spec in specs}  # fmt: skip


def matching_inputs(specs: Sequence[TensorSpec], trial: Trial) -> Tensors:
    """Random raw inputs of the sizes that the model took."""
    return random_inputs(specs, ROWS, trial.free, trial.end)


def try_out(
    specs: Sequence[TensorSpec], infer: Callable[[Tensors], ModelOutput]
) -> tuple[Trial, tuple[TensorSpec, ...]]:
    """Examples that the model answers with finite numbers, and its outputs as they came. Raises Unprocessable."""
    reason = ""
    for free, end in _ATTEMPTS:
        inputs = random_inputs(specs, ROWS, free, end)
        outputs, reason = _answers(infer, inputs)
        if not reason:
            _check_constant(outputs, _answers(infer, inputs)[0])
            doubled, _ = _answers(infer, random_inputs(specs, ROWS, 2 * free, end))
            return Trial(inputs, outputs, free, end), tuple(
                _spec(name, outputs[name], doubled.get(name)) for name in outputs
            )
    raise Unprocessable(f"The model does not answer random inputs that fit its signature: {reason}.", field="inputs")


def check_inputs(specs: Sequence[TensorSpec]) -> None:
    """Whether rows of them can be made. Raises Unprocessable."""
    if not specs:
        raise Unprocessable("The model takes nothing: a model without inputs cannot be called.", field="inputs")
    for spec in specs:
        if spec.shape[:1] not in ((-1,), (1,)):
            raise Unprocessable(
                f"Input {spec.name!r} has the shape {list(spec.shape)}, and its first dimension should be a free "
                "batch: export the model with one.", field=spec.name,
            )  # fmt: skip
        values = math.prod(abs(size) for size in spec.shape[1:])
        if values > _MOST_VALUES:
            raise Unprocessable(f"A row of input {spec.name!r} has {values:,} values, and at most {_MOST_VALUES:,} are "
                                "taken.", field=spec.name)  # fmt: skip


def _check_constant(first: Tensors, second: Tensors) -> None:
    """What was evaluated is what is served only where the same question has the same answer."""
    for name, values in first.items():
        if not same(second.get(name, np.empty(0)), values):
            raise Unprocessable(
                f"The model answers the same inputs differently each time (output {name!r}): export it in evaluation "
                "mode, without dropout or other random operators.", field="source",
            )  # fmt: skip


def _answers(infer: Callable[[Tensors], ModelOutput], inputs: Tensors, rows: int = ROWS) -> tuple[Tensors, str]:
    """The outputs, or why there are none."""
    try:
        output = infer(inputs)
    except GristmillError:
        raise
    except Exception as error:  # whatever a framework raises for sizes and values that its model does not take
        return {}, str(error).strip().split("\n", 1)[0][:200].rstrip(".")
    outputs = {"output": output} if isinstance(output, np.ndarray) else output
    for name, values in outputs.items():
        if values.shape[:1] != (rows,):
            return {}, f"output {name!r} has the shape {list(values.shape)} for {rows} rows, and the batch comes first"
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return {}, f"output {name!r} is not finite"
    return outputs, ""


def scores_of(specs: Sequence[TensorSpec], trial: Trial, infer: Callable[[Tensors], ModelOutput]) -> Scores:
    """How a classifier's one tensor [N, K] is to be read, found out by trying it.

    Rows that are not negative and add up to one: a softmax is inside. One value that stays within 0 and 1 on many rows:
    a sigmoid is. Several that do may be sigmoids or small logits: raises Unprocessable, which asks.
    """
    values = next(iter(trial.outputs.values()))
    if len(trial.outputs) != 1 or values.ndim != 2 or not _within_unit(values):
        return "logits"
    if values.shape[1] > 1 and np.allclose(values.sum(axis=1), 1, atol=1e-3):
        return "probabilities"
    many = random_inputs(specs, _MANY_ROWS, trial.free, trial.end)
    for start in range(0, _MANY_ROWS, _AT_ONCE):
        outputs, reason = _answers(infer, {name: of[start : start + _AT_ONCE] for name, of in many.items()}, _AT_ONCE)
        if reason or not all(_within_unit(found) for found in outputs.values()):
            return "logits"
    if values.shape[1] == 1:
        return "probability"
    raise Unprocessable(
        "The outputs stay within 0 and 1 and do not add up to one: say --scores independent if a row may have several "
        "labels, each with its own probability, or --scores logits if a softmax is still to come.", field="scores",
    )  # fmt: skip


def _within_unit(values: np.ndarray) -> bool:
    return bool(((values >= 0) & (values <= 1 + 1e-6)).all())  # a softmax in float32 may round beyond 1


def _spec(name: str, values: np.ndarray, doubled: np.ndarray | None) -> TensorSpec:
    """A dimension is free where it moved when the inputs' free ones were doubled."""
    dtype = "BYTES" if values.dtype.kind in "OSU" else _NAMES[values.dtype.newbyteorder("<")]
    after = values.shape if doubled is None or doubled.ndim != values.ndim else doubled.shape
    return TensorSpec(
        name, dtype, (-1, *(a if a == b else -1 for a, b in zip(values.shape[1:], after[1:], strict=True)))
    )


def _values(spec: TensorSpec, shape: tuple[int, ...], end: int, chance: np.random.Generator) -> np.ndarray:
    if spec.dtype == "BYTES":
        return np.asarray(chance.choice(np.array(_TEXT, dtype=object), shape), dtype=object)
    dtype = np.dtype(DTYPES[spec.dtype])
    if dtype.kind == "f":
        return chance.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return chance.integers(0, 2, shape).astype(dtype)
    return chance.integers(0, 256 if dtype == np.uint8 else end, shape).astype(dtype)
