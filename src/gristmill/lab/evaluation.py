"""An evaluate run: load the versions and the test rows, compute, and hand the outputs to the statistics."""

from __future__ import annotations

from typing import Any

from gristmill.core.errors import Unprocessable
from gristmill.core.types import RunSpec
from gristmill.lab.evaluate import EvaluateJob, evaluate
from gristmill.lab.events import Events
from gristmill.lab.loading import load_examples, load_version
from gristmill.store.blobs import Blobs


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
    target = subject.signature.target or (subject.manifest.lineage.recipe or {}).get("data", {}).get("target")
    test = load_examples(spec.dataset, Blobs(spec.blobs_url), subject.task, target, subject.signature.labels).test
    if not len(test.targets):
        raise Unprocessable(f"The dataset {spec.dataset.name}@{spec.dataset.version} has no test rows.")
    events.write("message", message=f"computing {len(test.targets)} test rows")
    report = evaluate(
        EvaluateJob(
            subject.task,
            subject.outputs(test.inputs),
            test.targets,
            subject.signature.labels,
            spec.seed,
            (subject.reference, rival.reference if rival else None),
            rival.outputs(test.inputs) if rival else None,
        )
    )
    return {name: figure["value"] for name, figure in report["metrics"].items()}, report
