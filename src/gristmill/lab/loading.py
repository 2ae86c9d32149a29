"""What a run works on: the dataset version's examples by split, and bundles of versions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gristmill.bundles.digests import verify
from gristmill.bundles.manifest import PREPROCESSING, Manifest
from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.core.types import DatasetRef, Resources, Signature, VersionRef
from gristmill.data import versions
from gristmill.data.subsets import nested_order
from gristmill.frameworks.protocol import Runtime
from gristmill.lab.adapted import open_adapted
from gristmill.store.blobs import Blobs
from gristmill.tasks.preprocessing import Preprocessing, decode_preprocessing
from gristmill.tasks.protocol import Columns, Examples, Task, Tensors, Windowed
from gristmill.tasks.recipe import DataPart

_ROWS = 256


class Splits(NamedTuple):
    train: Examples
    validation: Examples
    test: Examples


class Cut(NamedTuple):
    """How series become windows: `options` as in the recipe's `preprocessing`, `names` of those taken; None: all."""

    options: Mapping[str, Any]
    names: tuple[str, ...] | None = None


class LoadedVersion(NamedTuple):
    """A version ready to compute: raw tensors in, the signature's outputs out."""

    reference: str
    manifest: Manifest
    task: Task
    preprocessing: Preprocessing
    runtime: Runtime

    @property
    def signature(self) -> Signature:
        return self.manifest.signature

    def tested(self, examples: Examples) -> Tensors:
        """Outputs of examples, and what the task's metrics hold them against beside the targets."""
        return self.outputs(examples.inputs) | (examples.references or {})

    def outputs(self, inputs: Tensors) -> Tensors:
        """Of any number of rows, in batches."""
        rows = len(next(iter(inputs.values())))
        parts = [self._batch({name: values[start : start + _ROWS] for name, values in inputs.items()})
                 for start in range(0, rows, _ROWS)]  # fmt: skip
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _batch(self, inputs: Tensors) -> Tensors:
        return self.task.outputs(self.runtime.infer(self.preprocessing.apply(inputs)), self.signature)


def load_examples(
    dataset: DatasetRef, blobs: Blobs, task: Task, target: str | None, labels: tuple[str, ...] | None = None,
    series: Cut | None = None,
) -> Splits:  # fmt: skip
    """Examples of each split; the class order is that of all rows, or `labels`. Raises Unprocessable."""
    columns = versions.load(dataset.manifest, blobs)
    rows = versions.splits(dataset.manifest, blobs)
    target = target or dataset.manifest.get("target")
    if not len(rows["train"]):
        raise Unprocessable(f"The dataset {dataset.name}@{dataset.version} has no training rows.")
    if isinstance(task, Windowed) and series is not None:
        found = task.windows(_series(dataset, columns, task.name, series.names), target, rows, series.options)
        return Splits(*(found[name] for name in Splits._fields))
    examples = task.examples(columns, target, labels)
    return Splits(*(_rows(examples, rows[name]) for name in Splits._fields))


def _series(dataset: DatasetRef, columns: Columns, task: str, names: tuple[str, ...] | None) -> Columns:
    """Without the time, or those named. Raises Unprocessable for rows in no order, or a series that is not there."""
    reference, time = f"{dataset.name}@{dataset.version}", dataset.manifest.get("time")
    if time is None:
        raise Unprocessable(f"The rows of {reference} are not in the order of time: add it with --task {task}.",
                            field="data.dataset")  # fmt: skip
    series = {name: values for name, values in columns.items() if name != time}
    if lacking := [name for name in names or () if name not in series]:
        raise Unprocessable(f"{reference} has no series {lacking[0]!r}: it has {', '.join(series)}.", field="dataset")
    return {name: series[name] for name in names or series}


def share(examples: Examples, data: DataPart, in_time: bool = False) -> Examples:
    """The rows that the recipe wants of the training rows; of those `in_time` the newest.

    Raises Unprocessable when it wants more than there are.
    """
    there = len(examples.targets)
    wanted = data.rows or (round(there * data.fraction) if data.fraction else there)
    if wanted > there:
        raise Unprocessable(f"The recipe's data.rows is {wanted}, and there are {there} training rows.", field="rows")
    if wanted == there:
        return examples
    if in_time:
        return _rows(examples, slice(there - max(wanted, 1), there))
    strata = examples.targets if examples.labels is not None else None
    return _rows(examples, np.sort(nested_order(there, strata)[: max(wanted, 1)]))


def load_version(version: VersionRef, resources: Resources) -> LoadedVersion:
    """Verify and open a bundle. Raises CorruptBundle."""
    folder = Path(version.folder)
    manifest = verify(folder, version.digest)
    return open_version(version.reference, folder, manifest, resources, version.base)


def open_version(
    reference: str, folder: Path, manifest: Manifest, resources: Resources, base: VersionRef | None = None
) -> LoadedVersion:
    """Open a bundle that was verified, or just made; `base` is what an adapter is on."""
    preprocessing = decode_preprocessing((folder / PREPROCESSING).read_bytes())
    task: Task = plugins.load("tasks", manifest.task)()
    if manifest.is_adapter:
        return LoadedVersion(reference, manifest, task, preprocessing, open_adapted(folder, base, resources))
    runtime: type[Runtime] = plugins.load("runtimes", manifest.runtime)
    return LoadedVersion(reference, manifest, task, preprocessing, runtime.load(folder, manifest, resources))


def _rows(examples: Examples, rows: np.ndarray | slice) -> Examples:
    inputs, references = ({name: values[rows] for name, values in (tensors or {}).items()}
                          for tensors in (examples.inputs, examples.references))  # fmt: skip
    return examples._replace(inputs=inputs, targets=examples.targets[rows], references=references or None)
