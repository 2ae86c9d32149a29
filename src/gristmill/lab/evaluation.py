"""An evaluate run: load the versions and the test rows, compute, and hand the outputs to the statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.core.types import RunSpec, Signature
from gristmill.lab.evaluate import EvaluateJob, evaluate
from gristmill.lab.events import Events
from gristmill.lab.loading import Cut, LoadedVersion, load_examples, load_version
from gristmill.store.blobs import Blobs
from gristmill.tasks.protocol import Examples, Tensors, Windowed
from gristmill.tasks.series import target_names


def evaluate_run(spec: RunSpec, events: Events) -> tuple[dict[str, float], dict[str, Any]]:
    """(metric values, report). Raises Unprocessable when dataset, subject and rival do not fit each other."""
    if spec.version is None or spec.dataset is None:
        raise Unprocessable("An evaluate run needs a version and a dataset.")
    subject = load_version(spec.version, spec.resources)
    rival = load_version(spec.against, spec.resources) if spec.against is not None else None
    if rival is not None and (rival.manifest.task, rival.signature.labels) != (
        subject.manifest.task,
        subject.signature.labels,
    ):
        raise Unprocessable(
            f"{rival.reference} and {subject.reference} cannot be compared: their tasks or classes differ."
        )
    test = _test_rows(spec, subject)
    if not len(test.targets):
        raise Unprocessable(f"The dataset {spec.dataset.name}@{spec.dataset.version} has no test rows.")
    events.write("message", message=f"computing {len(test.targets)} test rows")
    report = evaluate(
        EvaluateJob(
            subject.task,
            subject.tested(test),
            test.targets,
            subject.signature.labels,
            spec.seed,
            (subject.reference, rival.reference if rival else None),
            _rival_outputs(spec, subject, rival, test) if rival else None,
            target_names(test.target, test.targets),
        )
    )
    return {name: figure["value"] for name, figure in report["metrics"].items()}, report


def _test_rows(spec: RunSpec, version: LoadedVersion) -> Examples:
    """As `version` takes them; of a series cut as it was in training. Raises Unprocessable where they do not fit it."""
    assert spec.dataset is not None
    task, signature = version.task, version.signature
    forecast = signature.target if isinstance(task, Windowed) else None
    target = forecast or (version.manifest.lineage.recipe or {}).get("data", {}).get("target")
    series = Cut(task.options(version.preprocessing), signature.features) if isinstance(task, Windowed) else None
    test = load_examples(spec.dataset, Blobs(spec.blobs_url), task, target, signature.labels, series).test
    if series and not _fits(signature, task.signature(test)):
        raise Unprocessable(
            f"{spec.dataset.name}@{spec.dataset.version} does not fit {version.reference}: it has the series "
            f"{', '.join(test.features or ())}, of which {test.target} are to be forecast.", field="dataset",
        )  # fmt: skip
    return test


def _fits(one: Signature, other: Signature) -> bool:
    """Whether what they take and give has the same shapes."""
    pairs = zip(one.inputs + one.outputs, other.inputs + other.outputs, strict=True)
    return all(first.shape == second.shape for first, second in pairs)


def _rival_outputs(spec: RunSpec, subject: LoadedVersion, rival: LoadedVersion, test: Examples) -> Tensors:
    """Of the rows that the subject is tested on. Raises Unprocessable where the rival forecasts something else."""
    if not isinstance(rival.task, Windowed):
        return rival.tested(test)
    own = _test_rows(spec, rival)  # its window may be another
    if own.target != test.target or not np.array_equal(own.targets, test.targets):
        raise Unprocessable(
            f"{rival.reference} and {subject.reference} cannot be compared: their targets or horizons differ."
        )
    return rival.outputs(own.inputs) | (test.references or {})
