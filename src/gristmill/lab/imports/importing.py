"""An import run: a stranger's model in, a bundle that has answered and passed its own replay out."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import msgspec

from gristmill.bundles.digests import verify
from gristmill.bundles.manifest import CARD, MANIFEST, PREPROCESSING, Lineage, Manifest
from gristmill.bundles.replay import write_golden
from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.core.files import write_atomic
from gristmill.core.generation import LanguageFacts
from gristmill.core.ids import check_name
from gristmill.core.types import ImportRef, RunSpec, Scores, Signature, TensorSpec
from gristmill.frameworks.importing import Imported, ImportJob
from gristmill.frameworks.protocol import Runtime
from gristmill.lab.events import Events
from gristmill.lab.imports import formats
from gristmill.lab.imports.adapter import import_adapter, is_adapter
from gristmill.lab.imports.card import import_card
from gristmill.lab.imports.names import check_names
from gristmill.lab.imports.source import opened, safe_name
from gristmill.lab.imports.trial import (
    ROWS,
    Trial,
    check_inputs,
    matching_inputs,
    random_inputs,
    scores_of,
    try_out,
)
from gristmill.lab.loading import open_version
from gristmill.lab.package import WEIGHTS, Packaged, seal
from gristmill.tasks.preprocessing import Preprocessing, encode_preprocessing
from gristmill.tasks.protocol import Adopting, ModelTensors, shapes_of
from gristmill.tasks.subwords import Subwords
from gristmill.tasks.text_generation import language_signature


def import_run(spec: RunSpec, folder: Path, events: Events) -> Packaged:
    """Raises what refuses the source, one sentence each; then neither it nor a bundle is left in the folder."""
    if spec.imported is None:
        raise Unprocessable("An import run needs something to import.")
    bundle = folder / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)  # of an attempt that died
    try:
        with opened(spec.imported, folder / "import") as source:
            events.write("message", message=f"reading {source.name}")
            if (source / MANIFEST).is_file():
                return _import_bundle(spec, spec.imported, source, bundle)
            if is_adapter(source):
                events.write("message", message="trying the adapter on its base")
                name = spec.imported.told.name or name_of(spec.imported.source)
                return import_adapter(spec, spec.imported, source, name, bundle)
            if spec.base is not None:
                raise Unprocessable(f"{source.name} is no LoRA adapter as PEFT saves it, and only those have a base.",
                                    field="base")  # fmt: skip
            job = ImportJob(source, spec.imported.told, bundle / WEIGHTS, spec.resources)
            imported = formats.read(job)
        if imported.language is not None:
            return _package_language(spec, spec.imported, imported, imported.language, bundle)
        events.write("message", message="trying it on random inputs")
        return _package(spec, spec.imported, imported, bundle)
    except BaseException:
        shutil.rmtree(bundle, ignore_errors=True)
        raise


def _import_bundle(spec: RunSpec, ref: ImportRef, source: Path, bundle: Path) -> Packaged:
    """One of ours comes back: verified, its own golden answers replayed."""
    shutil.move(source, bundle)
    manifest = verify(bundle)
    name = check_name(ref.told.name or manifest.name, "model")
    lineage = manifest.lineage
    if manifest.is_adapter and spec.base is not None:  # it may have another name and number here
        lineage = msgspec.structs.replace(lineage, parent=spec.base.reference)
    return seal(bundle, msgspec.structs.replace(manifest, name=name, lineage=lineage), spec.resources, spec.base)


def _package(spec: RunSpec, ref: ImportRef, imported: Imported, bundle: Path) -> Packaged:
    task = ref.told.task or imported.task or "tensors"
    inputs = _sized(_batched(imported.inputs), ref.told.inputs)
    adopting: Adopting = plugins.load("tasks", task)()
    draft = _manifest(spec, ref, imported, Signature(task, inputs, imported.outputs))
    labels = ref.told.labels or imported.labels
    check_inputs(imported.inputs)
    check_names((spec.name for spec in imported.inputs), "an input")
    check_names(labels or (), "a label")
    known = ref.told.scores or imported.scores or (None if labels and task != "tensors" else "logits")
    trial, outputs, scores = _try(draft, imported, known, bundle, spec)
    check_names((spec.name for spec in outputs), "an output")
    signature, preprocessing = adopting.adopt(ModelTensors(inputs, outputs, labels, ref.told.mean, ref.told.std))
    if signature.labels is not None:
        signature = msgspec.structs.replace(signature, scores=scores)
    chosen = _chosen(imported, preprocessing)
    if isinstance(chosen.step, Subwords):
        signature = msgspec.structs.replace(signature, longest=chosen.step.max_length)
    manifest = _manifest(spec, ref, imported, signature)
    write_atomic(bundle / PREPROCESSING, encode_preprocessing(chosen))
    version = open_version(manifest.name, bundle, manifest, spec.resources)
    golden = trial.inputs if task == "tensors" else matching_inputs(signature.inputs, trial)
    write_golden(bundle, golden, version.outputs(golden))
    version.runtime.close()
    write_atomic(bundle / CARD, import_card(manifest).encode())
    return seal(bundle, manifest, spec.resources)


def _package_language(
    spec: RunSpec, ref: ImportRef, imported: Imported, facts: LanguageFacts, bundle: Path
) -> Packaged:
    signature = language_signature(facts)
    manifest = _manifest(spec, ref, imported, signature)
    write_atomic(bundle / PREPROCESSING, encode_preprocessing(_chosen(imported, None)))
    version = open_version(manifest.name, bundle, manifest, spec.resources)
    golden = random_inputs(signature.inputs, ROWS, 1, 1)
    write_golden(bundle, golden, version.outputs(golden))
    version.runtime.close()
    write_atomic(bundle / CARD, import_card(manifest).encode())
    return seal(bundle, manifest, spec.resources)


def _chosen(imported: Imported, adopted: Preprocessing | None) -> Preprocessing:
    """The file's own, where it has one."""
    chosen = imported.preprocessing or adopted
    if chosen is None:
        raise Unprocessable("The file does not say how raw examples become its tensors: import it with --task tensors.",
                            field="task")  # fmt: skip
    return chosen


def _try(
    draft: Manifest, imported: Imported, known: Scores | None, bundle: Path, spec: RunSpec
) -> tuple[Trial, tuple[TensorSpec, ...], Scores]:
    """The model's own tensors in, what came out under the names that the file gives it, and how scores are read."""
    kind: type[Runtime] = plugins.load("runtimes", imported.runtime)
    runtime = kind.load(bundle, draft, spec.resources)
    try:
        trial, outputs = try_out(imported.inputs, runtime.infer)
        scores = known or scores_of(imported.inputs, trial, runtime.infer)
    finally:
        runtime.close()
    if len(outputs) == 1 and imported.outputs:
        outputs = (msgspec.structs.replace(outputs[0], name=imported.outputs[0].name),)
    if scores == "probability":
        outputs = (msgspec.structs.replace(outputs[0], low=0.0, high=1.0),)
    return trial, outputs, scores


def _batched(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """A batch of one is run row by row, so that callers may send any number."""
    return tuple(msgspec.structs.replace(spec, shape=(-1, *spec.shape[1:])) for spec in specs)


def _sized(inputs: tuple[TensorSpec, ...], told: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """Sizes that the file leaves free, as its user says them. Raises Unprocessable where they contradict the file."""
    said = {spec.name: spec for spec in told}
    if strange := said.keys() - {spec.name for spec in inputs}:
        raise Unprocessable(f"The model has no input {min(strange)!r}: it takes {shapes_of(inputs)}.", field="inputs")
    for spec in inputs:
        wanted = said.get(spec.name, spec)
        known = zip(spec.shape, wanted.shape, strict=False)
        if (
            wanted.dtype != spec.dtype
            or len(wanted.shape) != len(spec.shape)
            or any(a not in (-1, b) for a, b in known)
        ):
            raise Unprocessable(f"--input {shapes_of([wanted])} is not what the file says: {shapes_of([spec])}.",
                                field="inputs")  # fmt: skip
    return tuple(said.get(spec.name, spec) for spec in inputs)


def _manifest(spec: RunSpec, ref: ImportRef, imported: Imported, signature: Signature) -> Manifest:
    return Manifest(
        name=check_name(ref.told.name or name_of(ref.source), "model"),
        task=signature.task,
        framework=imported.framework,
        runtime=imported.runtime,
        architecture=imported.architecture,
        signature=signature,
        lineage=Lineage(run=spec.id, code=spec.code, imported_from=ref.source),
        files={},
        parameters=imported.parameters,
        licence=ref.told.licence or imported.licence,
        created_at=time.time(),
    )


def name_of(source: str) -> str:
    """`My Model.onnx` → `my_model`: the file's own name where none was given."""
    stem = re.sub(r"\.(tar\.\w+|[A-Za-z]\w*)$", "", safe_name(source.partition("@")[0]))
    return re.sub(r"[^a-z0-9._-]", "-", stem.lower()).lstrip("._-")[:63] or "imported"
