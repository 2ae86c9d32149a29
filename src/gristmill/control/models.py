"""What is done to versions besides reading them: verify and retire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill.books import events
from gristmill.control import bookkeeping, records
from gristmill.control.access import Caller
from gristmill.core.errors import Conflict
from gristmill.registry import bundles, versions

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

Document = dict[str, Any]


def verify(platform: Platform, tenant: str, model: str, version: int) -> Document:
    with platform.database.read() as connection:
        found = versions.get(connection, tenant, model, version)
    manifest = bundles.verify_stored(found.digest, platform.blobs)
    return {"model": model, "version": version, "digest": found.digest, "files": len(manifest.files),
            "bytes": manifest.size, "sound": True}  # fmt: skip


def retire(platform: Platform, by: Caller, model: str, version: int) -> Document:
    with platform.database.write() as connection:
        for endpoint in records.all_endpoints(connection, by.tenant):
            target = endpoint.target
            if f"{model}@{version}" in (target.model, *(one.model for one in target.adapters)):
                raise Conflict(f"Endpoint {endpoint.name!r} serves {model}@{version}: move or delete it first.")
        versions.retire(connection, by.tenant, model, version)
        now = platform.clock.now()
        bookkeeping.tell(connection, events.version_retired(by.tenant, model, version, now))
        records.note(connection, by.tenant, now, by.key, "models.retire", f"{model}@{version}")
    return {"model": model, "version": version, "state": "retired"}
