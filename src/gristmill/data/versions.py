"""Dataset versions: an immutable snapshot by content, with its schema and splits, readable without a database."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.data.documents import is_running_text, read_documents
from gristmill.data.profile import profile
from gristmill.data.readers import SPLIT, read
from gristmill.data.series import in_time, split_in_time
from gristmill.data.splits import Indices, check_ratios, fingerprints, given_split, split
from gristmill.store.blobs import Blobs
from gristmill.tasks.protocol import Task

Columns = dict[str, np.ndarray]
_OPTIONS = {
    "header",
    "delimiter",
    "encoding",
    "columns",
    "quote",
    "image_size",
    "channels",
    "split_column",
    "ratios",
    "seed",
    "target",
    "time",
}
_TARGETS = {"image-classification": "label", "text-classification": "label"}
_RUNNING_TEXT = "text-generation"  # what comes next is its target
_SERIES = "time-series-forecasting"
_RATIOS = (0.7, 0.15, 0.15)


class DatasetBuild(NamedTuple):
    """`manifest` is all that `load` and `split` need; `digest` names schema, content and splits together."""

    manifest: dict[str, Any]
    profile: dict[str, Any]
    digest: str
    rows: int
    bytes: int


def build(
    source: Path, blobs: Blobs, *, task: str | None, target: str | None, options: Mapping[str, Any]
) -> DatasetBuild:
    """Read, check, split, profile and store a source. Raises Unprocessable naming file, row or column; StorageFull."""
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise Unprocessable(
            f"There is no data option {unknown[0]!r}: known are {', '.join(sorted(_OPTIONS))}.", field=unknown[0]
        )
    running = task == _RUNNING_TEXT and is_running_text(source)
    columns = read_documents(source, options) if running else read(source, options)
    if task == _SERIES:
        return _build_series(source, columns, blobs, target, options)
    if "time" in options:
        raise Unprocessable(f"A column of time is for --task {_SERIES}.", field="time")
    target = target or _default_target(columns, task)
    marks = columns.pop(options.get("split_column", SPLIT), None)
    strata = _check_task(columns, task, target)
    groups = fingerprints({name: values for name, values in columns.items() if name != target})
    return _stored(columns, task, target, groups, _parts(groups, strata, marks, options), blobs)


def _build_series(
    source: Path, columns: Columns, blobs: Blobs, target: str | None, options: Mapping[str, Any]
) -> DatasetBuild:
    """Rows in the order of time, held out from its end."""
    mark = options.get("split_column", SPLIT)
    series = in_time(columns, source, options, mark)
    columns = series.columns
    marks = columns.pop(mark, None)
    task: Task = plugins.load("tasks", _SERIES)()
    target = task.examples({name: values for name, values in columns.items() if name != series.time}, target).target
    ratios = check_ratios(options.get("ratios", _RATIOS))
    parts = split_in_time(len(columns[series.time]), ratios, marks)
    facts = {"time": series.time, "step": str(series.step)}
    built = _stored(columns, _SERIES, target, fingerprints(columns), parts, blobs, facts)
    span = {"time": series.time, "from": series.span[0], "to": series.span[1], "step": str(series.step)}
    return built._replace(profile=span | built.profile)


def _stored(
    columns: Columns, task: str | None, target: str | None, groups: np.ndarray, parts: Indices, blobs: Blobs,
    facts: Mapping[str, Any] | None = None,
) -> DatasetBuild:  # fmt: skip
    data = _encode(columns)
    manifest = {
        "task": task,
        "target": target,
        "columns": {
            name: {"dtype": _dtype(values), "shape": list(values.shape[1:])} for name, values in columns.items()
        },
        "rows": len(groups),
        "content": blobs.put_bytes(data),
        "splits": blobs.put_bytes(_encode({name: rows.astype(np.int64) for name, rows in parts.items()})),
        **(facts or {}),
    }
    digest = f"sha256:{hashlib.sha256(msgspec.json.encode(manifest, order='deterministic')).hexdigest()}"
    return DatasetBuild(manifest, profile(columns, target, groups, parts), digest, len(groups), len(data))


def load(manifest: Mapping[str, Any], blobs: Blobs) -> Columns:
    """All rows of all columns. Raises CorruptBundle when the stored content is not what it was."""
    return _decode(blobs.get(manifest["content"]))


def splits(manifest: Mapping[str, Any], blobs: Blobs) -> Indices:
    """Row indices of train, validation and test."""
    return _decode(blobs.get(manifest["splits"]))


def _default_target(columns: Columns, task: str | None) -> str | None:
    if task is None:
        return None
    return next((name for name in (_TARGETS.get(task, "target"), "target", "label", "class") if name in columns), None)


def _check_task(columns: Columns, task: str | None, target: str | None) -> np.ndarray | None:
    """Class numbers to stratify by, once the task has accepted the data; None for regression or without a task."""
    if task is None:
        return None
    if target is None and task != _RUNNING_TEXT:
        hint = " Is the first line a row of data? Then add --no-header." if _are_numbers(columns) else ""
        raise Unprocessable(
            f"Say which column to predict with --target: the columns are {', '.join(columns)}.{hint}", field="target"
        )
    examples = plugins.load("tasks", task)().examples(columns, target)
    return examples.targets if examples.labels is not None else None


def _are_numbers(names: Iterable[str]) -> bool:
    try:
        return bool([float(name) for name in names])
    except ValueError:
        return False


def _parts(
    groups: np.ndarray, strata: np.ndarray | None, marks: np.ndarray | None, options: Mapping[str, Any]
) -> Indices:
    seed = options.get("seed", 0)
    ratios = options.get("ratios", _RATIOS)
    if marks is not None:
        return given_split(marks, groups, strata, seed, ratios[1])
    return split(groups, strata, ratios, seed)


def _dtype(values: np.ndarray) -> str:
    return "text" if values.dtype == object else values.dtype.name


def _encode(columns: Columns) -> bytes:
    """NPZ without pickle, equal for equal content: text as UTF-8 bytes with offsets and a mask of missing."""
    arrays: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        if values.dtype != object:
            arrays[f"array:{name}"] = values
            continue
        encoded = [b"" if value is None else value if isinstance(value, bytes) else value.encode() for value in values]
        arrays[f"text:{name}"] = np.frombuffer(b"".join(encoded), np.uint8)
        arrays[f"ends:{name}"] = np.cumsum([len(value) for value in encoded], dtype=np.int64)
        arrays[f"none:{name}"] = np.asarray([value is None for value in values])
    with tempfile.SpooledTemporaryFile(max_size=2**28) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
        file.seek(0)
        return file.read()


def _decode(data: bytes) -> Columns:
    columns: Columns = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        for key in file.files:
            kind, _, name = key.partition(":")
            if kind == "array":
                columns[name] = file[key]
            elif kind == "text":
                columns[name] = _texts(file[key].tobytes(), file[f"ends:{name}"], file[f"none:{name}"])
    return columns


def _texts(data: bytes, ends: np.ndarray, missing: np.ndarray) -> np.ndarray:
    starts = [0, *ends[:-1].tolist()]
    values = [
        None if none else data[start:end].decode("utf-8", "replace")
        for start, end, none in zip(starts, ends.tolist(), missing.tolist(), strict=True)
    ]
    return np.asarray(values, object)
