"""`run.json`: all that a run's process needs, gathered while the database is at hand."""

from __future__ import annotations

from gristmill.control.platform import Platform
from gristmill.control.state import Run
from gristmill.core.types import DatasetRef, RunKind, RunSpec, VersionRef
from gristmill.data import records as datasets
from gristmill.registry import bundles, versions


def spec_of(platform: Platform, run: Run, code: str) -> RunSpec:
    """Raises NotFound, CorruptBundle, StorageFull: versions to evaluate are unpacked and verified here."""
    request = run.request
    with platform.database.read() as connection:
        dataset = datasets.resolve(connection, run.tenant, request["dataset"])
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
        model=run.name if recipe else None,
        dataset=DatasetRef(
            name=dataset.name,
            version=dataset.version,
            digest=dataset.digest,
            licence=dataset.licence,
            manifest=dataset.manifest,
        ),
        version=_unpacked(platform, run.tenant, request.get("version")),
        against=_unpacked(platform, run.tenant, request.get("against")),
        code=code,
    )


def _unpacked(platform: Platform, tenant: str, reference: str | None) -> VersionRef | None:
    if reference is None:
        return None
    with platform.database.read() as connection:
        version = versions.resolve(connection, tenant, reference)
    folder = platform.settings.bundles / version.digest.removeprefix("sha256:")
    bundles.unpack(version.digest, platform.blobs, folder)
    return VersionRef(model=version.model, version=version.version, digest=version.digest, folder=str(folder))
