"""Splits: seeded, stratified by class, with identical inputs kept on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from gristmill.core.errors import Unprocessable

NAMES = ("train", "validation", "test")
Indices = dict[str, np.ndarray]


def fingerprints(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """uint64 [N]: equal exactly for rows whose inputs are equal (up to a chance of 2^-64 a pair)."""
    columns = [_row_bytes(inputs[name]) for name in sorted(inputs)]
    rows = zip(*columns, strict=True)
    return np.asarray(
        [int.from_bytes(hashlib.blake2b(b"\0".join(row), digest_size=8).digest()) for row in rows], np.uint64
    )


def check_ratios(ratios: Sequence[float]) -> Sequence[float]:
    """Raises Unprocessable."""
    if len(ratios) != 3 or any(ratio < 0 for ratio in ratios) or abs(sum(ratios) - 1) > 1e-9 or not ratios[0]:
        raise Unprocessable(
            f"The split's ratios should be three parts that sum to 1, and are {list(ratios)}.", got=list(ratios)
        )
    return ratios


def split(groups: np.ndarray, strata: np.ndarray | None, ratios: Sequence[float], seed: int) -> Indices:
    """Row indices by split: about `ratios` of the rows of each stratum, no group on two sides.

    A group's stratum is that of its first row. Raises Unprocessable when the ratios do not sum to 1.
    """
    check_ratios(ratios)
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    side = np.zeros(len(first), np.int8)
    random = np.random.default_rng(seed)
    group_strata = np.zeros(len(first), np.int64) if strata is None else strata[first]
    for stratum in np.unique(group_strata):
        places = random.permutation(np.flatnonzero(group_strata == stratum))
        bounds = np.round(np.cumsum(ratios)[:2] * len(places)).astype(int)
        side[places[bounds[0] :]] = 1
        side[places[bounds[1] :]] = 2
    sides = side[member]
    return {name: np.flatnonzero(sides == number) for number, name in enumerate(NAMES)}


def given_split(
    values: np.ndarray, groups: np.ndarray, strata: np.ndarray | None, seed: int, validation: float
) -> Indices:
    """Splits as a column names them; validation rows are taken from train where none are named."""
    names = np.asarray([str(value) for value in values])
    unknown = set(names) - set(NAMES)
    if unknown:
        raise Unprocessable(f"The split column holds {sorted(unknown)[0]!r}: expected are {', '.join(NAMES)}.")
    chosen = {name: np.flatnonzero(names == name) for name in NAMES}
    if not len(chosen["train"]):
        raise Unprocessable("The split column names no training rows.")
    if not len(chosen["validation"]):
        rows = chosen["train"]
        parts = split(groups[rows], None if strata is None else strata[rows], (1 - validation, validation, 0.0), seed)
        chosen |= {"train": rows[parts["train"]], "validation": rows[parts["validation"]]}
    return chosen


def leaks(groups: np.ndarray, parts: Indices) -> int:
    """How many rows of validation and test have the same inputs as a training row."""
    train = groups[parts["train"]]
    return int(sum(np.isin(groups[parts[name]], train).sum() for name in ("validation", "test")))


def _row_bytes(values: np.ndarray) -> list[bytes]:
    if values.dtype == object:
        return [value if isinstance(value, bytes) else str(value).encode() for value in values]
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    return [row.tobytes() for row in flat]
