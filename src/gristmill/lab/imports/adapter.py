"""Importing a LoRA adapter: tried on its base, which it needs; its bundle holds what it adds and golden answers."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import msgspec

from gristmill.bundles.digests import verify
from gristmill.bundles.manifest import CARD, PREPROCESSING, Lineage, Manifest, write_manifest
from gristmill.bundles.replay import read_golden, replay, write_golden
from gristmill.core.errors import Unprocessable
from gristmill.core.files import write_atomic
from gristmill.core.ids import check_name
from gristmill.core.types import ImportRef, RunSpec
from gristmill.frameworks.language import LanguageRuntime
from gristmill.frameworks.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS, RUNTIME, read_lora
from gristmill.lab.imports.card import import_card
from gristmill.lab.loading import LoadedVersion, open_version
from gristmill.lab.package import WEIGHTS, Packaged, manifest_with_files

_ENGINE = "transformers"  # it computes with adapters, whatever the base's own runtime is
_NAME = "imported"


def is_adapter(source: Path) -> bool:
    return (source / ADAPTER_CONFIG).is_file()


def import_adapter(spec: RunSpec, ref: ImportRef, source: Path, name: str, bundle: Path) -> Packaged:
    """Raises Unprocessable where there is no base or the adapter does not fit it, CorruptBundle."""
    if spec.base is None:
        raise Unprocessable("The folder is a LoRA adapter: say with --base NAME@VERSION what it adapts.", field="base")
    weights = bundle / WEIGHTS
    weights.mkdir(parents=True)
    layers = read_lora(source)
    for file in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        shutil.copyfile(source / file, weights / file)
    base = _base(spec)
    folder = Path(spec.base.folder)
    shutil.copyfile(folder / PREPROCESSING, bundle / PREPROCESSING)
    manifest = Manifest(
        name=check_name(name, "model"),
        task=base.task,
        framework="peft",
        runtime=RUNTIME,
        architecture={"name": "LoRA", "rank": max(one.rank for one in layers), "layers": len(layers)},
        signature=base.signature,
        lineage=Lineage(run=spec.id, code=spec.code, parent=f"{spec.base.model}@{spec.base.version}",
                        imported_from=ref.source),
        files={},
        parameters=sum(one.parameters for one in layers),
        licence=ref.told.licence,
        created_at=time.time(),
    )  # fmt: skip
    return _sealed(spec, folder, base, manifest, bundle)


def _base(spec: RunSpec) -> Manifest:
    """Its manifest, with the engine that adapters are tried on."""
    assert spec.base is not None
    manifest = verify(Path(spec.base.folder), spec.base.digest)
    if manifest.signature.language is None or manifest.runtime == RUNTIME:
        raise Unprocessable(f"{spec.base.model}@{spec.base.version} is no language model that an adapter can be on.",
                            field="base")  # fmt: skip
    return msgspec.structs.replace(manifest, runtime=_ENGINE)


def _sealed(spec: RunSpec, folder: Path, base: Manifest, manifest: Manifest, bundle: Path) -> Packaged:
    """With golden answers of the base with the adapter, replayed from the bundle's own files."""
    version = open_version(base.name, folder, base, spec.resources)
    runtime = version.runtime
    assert isinstance(runtime, LanguageRuntime)
    try:
        golden, _ = read_golden(folder)
        _adapt(runtime, bundle)
        write_golden(bundle, golden, version.outputs(golden))
        write_atomic(bundle / CARD, import_card(manifest).encode())
        sealed = manifest_with_files(manifest, bundle)
        digest = write_manifest(bundle, sealed)
        _replayed(version, runtime, bundle, digest)
    finally:
        runtime.close()
    return Packaged(digest, sealed, sealed.metrics)


def _replayed(version: LoadedVersion, runtime: LanguageRuntime, bundle: Path, digest: str) -> None:
    runtime.generator.unload_adapter(_NAME)
    manifest = verify(bundle, digest)
    _adapt(runtime, bundle)
    replay(bundle, manifest.signature, version.outputs)


def _adapt(runtime: LanguageRuntime, bundle: Path) -> None:
    runtime.generator.load_adapter(_NAME, bundle / WEIGHTS)
    runtime.adapter = _NAME
