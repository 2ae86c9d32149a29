"""Packaging: weights, preprocessing, signature, golden examples, card and digests into one folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gristmill.bundles.digests import scan, verify
from gristmill.bundles.manifest import CARD, PREPROCESSING, Lineage, Manifest, write_manifest
from gristmill.bundles.replay import replay, write_golden
from gristmill.core.files import write_atomic
from gristmill.core.types import Resources, ResourceUse, Signature, VersionRef
from gristmill.lab.card import write_card
from gristmill.lab.loading import LoadedVersion, open_version
from gristmill.lab.training import Training
from gristmill.tasks.preprocessing import encode_preprocessing
from gristmill.tasks.protocol import Examples, Tensors
from gristmill.tasks.text_generation import golden_prompts, language_signature

WEIGHTS = "weights"
_GOLDEN_ROWS = 8


class Packaged(NamedTuple):
    digest: str
    manifest: Manifest
    metrics: dict[str, float]


def package(training: Training, bundle: Path, use: ResourceUse) -> Packaged:
    """Write the bundle around the weights that stand in `bundle/weights`; replay it from disk before it counts."""
    facts = training.trained.language
    signature = training.task.signature(_joined(training.splits)) if facts is None else language_signature(facts)
    write_atomic(bundle / PREPROCESSING, encode_preprocessing(training.preprocessing))
    draft = _manifest(training, signature)
    spec = training.spec
    version = open_version(draft.name, bundle, draft, spec.resources, spec.base)
    held_out = _held_out(training)
    outputs = version.tested(held_out)
    metrics = {f"test/{name}": value for name, value in training.task.metrics(outputs, held_out.targets).items()}
    golden = _golden(held_out) if facts is None else golden_prompts(held_out.inputs, _GOLDEN_ROWS)
    write_golden(bundle, golden, version.outputs(golden))
    write_atomic(bundle / CARD, write_card(training, metrics, outputs, held_out, use).encode())
    version.runtime.close()
    return seal(bundle, _manifest(training, signature, metrics), spec.resources, spec.base)


def seal(bundle: Path, manifest: Manifest, resources: Resources, base: VersionRef | None = None) -> Packaged:
    """Write the manifest with every file's digest; verify, open and replay from disk. Raises Unprocessable.

    `base` is what an adapter is on.
    """
    sealed = manifest_with_files(manifest, bundle)
    digest = write_manifest(bundle, sealed)
    loaded: LoadedVersion = open_version(sealed.name, bundle, verify(bundle, digest), resources, base)
    replay(bundle, sealed.signature, loaded.outputs)
    loaded.runtime.close()
    return Packaged(digest, sealed, sealed.metrics)


def manifest_with_files(manifest: Manifest, bundle: Path) -> Manifest:
    """`manifest` with the digests of what stands in the folder."""
    return Manifest(**{**{name: getattr(manifest, name) for name in manifest.__struct_fields__}, "files": scan(bundle)})


def _manifest(training: Training, signature: Signature, metrics: dict[str, float] | None = None) -> Manifest:
    spec, dataset = training.spec, training.spec.dataset
    assert dataset is not None
    lineage = Lineage(
        spec.id, (f"{dataset.name}@{dataset.version}",), (dataset.digest,), spec.recipe, spec.code,
        training.base,
    )  # fmt: skip
    return Manifest(
        name=spec.model or training.recipe.name,
        task=training.recipe.task,
        framework=training.recipe.framework,
        runtime=training.trained.runtime,
        architecture=training.trained.architecture,
        signature=signature,
        lineage=lineage,
        files={},
        parameters=training.trained.parameters,
        licence=dataset.licence,
        created_at=time.time(),
        metrics={**_amounts(training), **training.trained.metrics, **(metrics or {})},
    )


def _held_out(training: Training) -> Examples:
    return training.splits.test if len(training.splits.test.targets) else training.splits.train


def _amounts(training: Training) -> dict[str, float]:
    """How much went into the version: what a forecast needs to know of it."""
    rows, tested = len(training.splits.train.targets), len(_held_out(training).targets)
    return {"train/rows": float(rows), "tested/rows": float(tested), "train/steps": float(training.trained.steps)}


def _joined(splits: tuple[Examples, ...]) -> Examples:
    """All rows: what the signature allows (missing values) must hold for what was held out too.

    Windows of a series overlap and lack nothing: side by side they would take many times the series' memory.
    """
    if splits[0].references is not None:
        return splits[0]
    inputs = {name: np.concatenate([part.inputs[name] for part in splits]) for name in splits[0].inputs}
    return splits[0]._replace(inputs=inputs, targets=np.concatenate([part.targets for part in splits]))


def _golden(examples: Examples) -> Tensors:
    return {name: values[:_GOLDEN_ROWS] for name, values in examples.inputs.items()}
