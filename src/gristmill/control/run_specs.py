"""`run.json`: all that a run's process needs, gathered while the database is at hand."""

from __future__ import annotations

import msgspec

from gristmill.control import uploads
from gristmill.control.platform import Platform
from gristmill.control.state import Run
from gristmill.core.types import DatasetRef, ImportRef, RunKind, RunSpec, Told, VersionRef
from gristmill.data import records as datasets
from gristmill.registry import bundles, versions


def spec_of(platform: Platform, run: Run, code: str) -> RunSpec:
    """Raises NotFound, CorruptBundle, StorageFull: versions to evaluate are unpacked and verified here."""
    request = run.request
    recipe = request.get("recipe")
    return RunSpec(
        id=run.id,
        tenant=run.tenant,
        kind=RunKind(run.kind),
        attempt=run.attempt,
        seed=int(recipe["training"]["seed"]) if recipe else 0,
        resources=run.granted,
        blobs_url=platform.settings.blobs_url,
        recipe=recipe,
        own_code=request.get("code"),
        model=run.name if recipe else None,
        dataset=_dataset(platform, run.tenant, request.get("dataset")),
        base=_unpacked(platform, run.tenant, (recipe or request).get("base")),
        version=_unpacked(platform, run.tenant, request.get("version")),
        against=_unpacked(platform, run.tenant, request.get("against")),
        imported=_imported(platform, run) if run.kind == RunKind.import_ else None,
        format=request.get("format"),
        code=code,
    )


def _dataset(platform: Platform, tenant: str, reference: str | None) -> DatasetRef | None:
    if reference is None:
        return None
    with platform.database.read() as connection:
        found = datasets.resolve(connection, tenant, reference)
    return DatasetRef(
        name=found.name, version=found.version, digest=found.digest, licence=found.licence, manifest=found.manifest
    )


def _imported(platform: Platform, run: Run) -> ImportRef:
    request = run.request
    path = uploads.find(platform, run.tenant, request["upload"]) if request["upload"] else None
    return ImportRef(
        source=request["source"],
        told=msgspec.convert(request["told"], Told),
        upload=str(path) if path else None,
        packed=path is not None and path.suffix == uploads.PACKED,
    )


def _unpacked(platform: Platform, tenant: str, reference: str | None) -> VersionRef | None:
    if reference is None:
        return None
    with platform.database.read() as connection:
        version = versions.resolve(connection, tenant, reference)
    folder = platform.settings.bundles / version.digest.removeprefix("sha256:")
    bundles.unpack(version.digest, platform.blobs, folder)
    adapts = version.manifest.lineage.parent if version.manifest.is_adapter else None
    return VersionRef(model=version.model, version=version.version, digest=version.digest, folder=str(folder),
                      base=_unpacked(platform, tenant, adapts))  # fmt: skip
