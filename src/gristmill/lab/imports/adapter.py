"""Importing a LoRA adapter: tried on its base, which it needs; its bundle holds what it adds and golden answers."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from gristmill.bundles.digests import verify
from gristmill.bundles.manifest import ADAPTER, CARD, PREPROCESSING, Lineage, Manifest
from gristmill.bundles.replay import read_golden, write_golden
from gristmill.core.errors import Unprocessable
from gristmill.core.files import write_atomic
from gristmill.core.ids import check_name
from gristmill.core.types import ImportRef, RunSpec
from gristmill.frameworks.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS, architecture_of, read_lora
from gristmill.lab.imports.card import import_card
from gristmill.lab.loading import open_version
from gristmill.lab.package import WEIGHTS, Packaged, seal


def is_adapter(source: Path) -> bool:
    return (source / ADAPTER_CONFIG).is_file()


def import_adapter(spec: RunSpec, ref: ImportRef, source: Path, name: str, bundle: Path) -> Packaged:
    """Raises Unprocessable where there is no base or the adapter does not fit it, CorruptBundle."""
    if spec.base is None:
        raise Unprocessable("The folder is a LoRA adapter: say with --base NAME@VERSION what it adapts.", field="base")
    weights, folder = bundle / WEIGHTS, Path(spec.base.folder)
    weights.mkdir(parents=True)
    layers = read_lora(source)
    for file in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        shutil.copyfile(source / file, weights / file)
    base = verify(folder, spec.base.digest)
    shutil.copyfile(folder / PREPROCESSING, bundle / PREPROCESSING)
    manifest = Manifest(
        name=check_name(name, "model"),
        task=base.task,
        framework="peft",
        runtime=ADAPTER,
        architecture=architecture_of(layers),
        signature=base.signature,
        lineage=Lineage(run=spec.id, code=spec.code, parent=spec.base.reference, imported_from=ref.source),
        files={},
        parameters=sum(one.parameters for one in layers),
        licence=ref.told.licence,
        created_at=time.time(),
    )
    version = open_version(manifest.name, bundle, manifest, spec.resources, spec.base)
    golden, _ = read_golden(folder)
    write_golden(bundle, golden, version.outputs(golden))
    version.runtime.close()
    write_atomic(bundle / CARD, import_card(manifest).encode())
    return seal(bundle, manifest, spec.resources, spec.base)
