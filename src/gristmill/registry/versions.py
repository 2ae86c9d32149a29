"""Versions: immutable numbered bundles under a model's name, one tenant's each."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import Conflict, NotFound
from gristmill.core.faults import fault_point
from gristmill.core.ids import LARGEST_NUMBER, parse_reference
from gristmill.registry import records

_before_register = fault_point("registry.before-register")
_after_register = fault_point("registry.after-register")


class Version(NamedTuple):
    tenant: str
    model: str
    version: int
    digest: str
    task: str
    manifest: Manifest
    run: str | None
    metrics: dict[str, float]
    state: str  # ready, retired
    created_at: float

    @property
    def reference(self) -> str:
        return f"{self.model}@{self.version}"


def register(connection: Connection, tenant: str, manifest: Manifest, digest: str, run: str | None, at: float) -> int:
    """Give the bundle the model's next number. The same run again gets the number it has. Raises Conflict on a race."""
    model = manifest.name
    if run is not None and (known := records.version_of_run(connection, tenant, model, run)) is not None:
        return known
    number = records.newest_number(connection, tenant, model) + 1
    row: dict[str, Any] = {
        "tenant": tenant, "model": model, "version": number, "digest": digest, "task": manifest.task,
        "manifest": msgspec.to_builtins(manifest), "run": run, "metrics": manifest.metrics, "state": "ready",
        "created_at": at,
    }  # fmt: skip
    _before_register()
    if not records.insert_version(connection, row):
        raise Conflict(f"Version {number} of {model!r} was registered by someone else just now; try again.")
    _after_register()
    return number


def get(connection: Connection, tenant: str, model: str, version: int) -> Version:
    """Raises NotFound."""
    row = records.version_row(connection, tenant, model, version) if version <= LARGEST_NUMBER else None
    if row is None:
        raise NotFound(f"There is no version {model}@{version}; 'gristmill models list' shows what there is.")
    return _version(row)


def resolve(connection: Connection, tenant: str, reference: str) -> Version:
    """`digits@2`, `digits@champion`, or `digits`: its champion where it has one, else its newest version."""
    model, version = parse_reference(reference)
    if version is not None and version.isdigit():
        return get(connection, tenant, model, int(version))
    number = records.alias_version(connection, tenant, model, version or "champion")
    if number is None and version is None:
        number = records.newest_number(connection, tenant, model) or None
    if number is None:
        raise NotFound(f"There is no version {reference}; 'gristmill models list' shows what there is.")
    return get(connection, tenant, model, number)


def list_versions(connection: Connection, tenant: str, model: str | None = None) -> list[Version]:
    """In order of model and number. Raises NotFound for a model without any."""
    rows = records.version_rows(connection, tenant, model)
    if model is not None and not rows:
        raise NotFound(f"There is no model {model!r}; 'gristmill models list' shows what there is.")
    return [_version(row) for row in rows]


def list_models(connection: Connection, tenant: str) -> dict[str, list[Version]]:
    """Every model's versions, by name."""
    models: dict[str, list[Version]] = {}
    for version in list_versions(connection, tenant):
        models.setdefault(version.model, []).append(version)
    return models


def add_metrics(connection: Connection, version: Version, metrics: dict[str, float]) -> None:
    """Add an evaluation's figures to those of the version."""
    records.update_version(
        connection, version.tenant, version.model, version.version, metrics=version.metrics | metrics
    )


def retire(connection: Connection, tenant: str, model: str, version: int) -> Version:
    """Take a version out of use; it stays in the books and in the history. Raises NotFound, Conflict."""
    found = get(connection, tenant, model, version)
    if found.state == "retired":
        raise Conflict(f"{found.reference} is retired already.")
    records.update_version(connection, tenant, model, version, state="retired")
    return found._replace(state="retired")


def _version(row: records.VersionRow) -> Version:
    manifest = msgspec.convert(row.manifest, Manifest)
    return Version(
        row.tenant, row.model, row.version, row.digest, row.task, manifest, row.run, dict(row.metrics), row.state,
        row.created_at,
    )  # fmt: skip
