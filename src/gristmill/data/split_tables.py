"""A folder of one table a split, as data sets are often published: train.tsv, dev.tsv, test.tsv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.data.splits import NAMES

_SPLITS = {"train": "train", "test": "test"} | dict.fromkeys(("dev", "val", "valid", "validation"), "validation")
_TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")


def split_tables(folder: Path) -> dict[str, Path]:
    """Its tables by split; empty where there is no table of training rows."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower().removesuffix(".gz")
        split = _SPLITS.get(name.partition(".")[0])
        if split is None or not name.endswith(_TABLES):
            continue
        if split in found:
            raise Unprocessable(f"The folder has two tables of {split} rows, {found[split].name} and {path.name}.")
        found[split] = path
    return {split: found[split] for split in NAMES if split in found} if "train" in found else {}


def joined(parts: Mapping[str, Mapping[str, np.ndarray]], split_column: str) -> dict[str, np.ndarray]:
    """The rows of all splits, one after the other. Raises Unprocessable where their columns differ."""
    first = parts["train"]
    for split, columns in parts.items():
        if columns.keys() != first.keys():
            raise Unprocessable(f"The {split} table has the columns {', '.join(columns)}, the train table has "
                                f"{', '.join(first)}.")  # fmt: skip
        for name, values in columns.items():
            if (values.dtype == object) != (first[name].dtype == object) or values.shape[1:] != first[name].shape[1:]:
                raise Unprocessable(f"Column {name!r} holds other values in the {split} table than in the train table.",
                                    field=name)  # fmt: skip
    rows = {name: np.concatenate([columns[name] for columns in parts.values()]) for name in first}
    marks = [split for split, columns in parts.items() for _ in next(iter(columns.values()))]
    return {**rows, split_column: np.asarray(marks, object)}
