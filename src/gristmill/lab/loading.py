"""What a run works on: the dataset version's examples by split, and bundles of versions."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

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
from gristmill.tasks.protocol import Examples, Task, Tensors
from gristmill.tasks.recipe import DataPart

_ROWS = 256


class Splits(NamedTuple):
    train: Examples
    validation: Examples
    test: Examples


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

    def outputs(self, inputs: Tensors) -> Tensors:
        """Of any number of rows, in batches."""
        rows = len(next(iter(inputs.values())))
        parts = [self._batch({name: values[start : start + _ROWS] for name, values in inputs.items()})
                 for start in range(0, rows, _ROWS)]  # fmt: skip
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _batch(self, inputs: Tensors) -> Tensors:
        return self.task.outputs(self.runtime.infer(self.preprocessing.apply(inputs)), self.signature)


def load_examples(
    dataset: DatasetRef, blobs: Blobs, task: Task, target: str | None, labels: tuple[str, ...] | None = None
) -> Splits:
    """Examples of each split; the class order is that of all rows, or `labels`. Raises Unprocessable."""
    columns = versions.load(dataset.manifest, blobs)
    rows = versions.splits(dataset.manifest, blobs)
    examples = task.examples(columns, target or dataset.manifest.get("target"), labels)
    if not len(rows["train"]):
        raise Unprocessable(f"The dataset {dataset.name}@{dataset.version} has no training rows.")
    return Splits(*(_rows(examples, rows[name]) for name in Splits._fields))


def share(examples: Examples, data: DataPart) -> Examples:
    """The rows that the recipe wants of the training rows. Raises Unprocessable when it wants more than there are."""
    there = len(examples.targets)
    wanted = data.rows or (round(there * data.fraction) if data.fraction else there)
    if wanted > there:
        raise Unprocessable(f"The recipe's data.rows is {wanted}, and there are {there} training rows.", field="rows")
    if wanted == there:
        return examples
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


def _rows(examples: Examples, rows: np.ndarray) -> Examples:
    inputs = {name: values[rows] for name, values in examples.inputs.items()}
    return examples._replace(inputs=inputs, targets=examples.targets[rows])
