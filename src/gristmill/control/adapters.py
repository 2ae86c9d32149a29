"""LoRA adapters of an endpoint: added and removed while it serves; its replicas follow, none is started anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gristmill.control import endpoints, records
from gristmill.control.access import Caller
from gristmill.control.adapter_states import documents
from gristmill.control.state import Endpoint
from gristmill.core.errors import Conflict, NotFound, Unprocessable
from gristmill.core.ids import check_name
from gristmill.core.types import AdapterRef
from gristmill.registry import versions
from gristmill.registry.versions import Version

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

Document = dict[str, Any]
_MOST = 64


class Add(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    name: str | None = None  # as it is called: ENDPOINT:NAME; the model's own name where absent


def add(platform: Platform, by: Caller, endpoint: str, request: Document) -> Document:
    """→ the adapter's document. Raises NotFound, Conflict, Unprocessable."""
    try:
        wanted = msgspec.convert(request, Add)
    except msgspec.ValidationError as error:
        raise Unprocessable(f"The adapter that is asked for is not valid: {error}.") from None
    with platform.database.write() as connection:
        found = endpoints.steady(connection, by.tenant, endpoint)
        version = versions.resolve(connection, by.tenant, wanted.version)
        name = check_name(wanted.name or version.model, "adapter")
        held = found.target.adapters
        if any(one.name == name for one in held):
            raise Conflict(
                f"Endpoint {endpoint!r} has an adapter {name!r}: remove it, or add this one as another name."
            )
        if len(held) >= _MOST:
            raise Conflict(f"Endpoint {endpoint!r} has {_MOST} adapters, the most that one has: remove one first.")
        _check_base(connection, found, version)
        made = AdapterRef(name, version.reference, version.digest)
        _change(platform, connection, found, (*held, made))
        now = platform.clock.now()
        records.note(connection, by.tenant, now, by.key, "endpoints.add-adapter", endpoint, adapter=name,
                     version=version.reference)  # fmt: skip
    platform.wake()
    return show(platform, by.tenant, endpoint, name)


def remove(platform: Platform, by: Caller, endpoint: str, name: str) -> Document:
    """Texts that are being written with it are finished. Raises NotFound, Conflict."""
    with platform.database.write() as connection:
        found = endpoints.steady(connection, by.tenant, endpoint)
        kept = tuple(one for one in found.target.adapters if one.name != name)
        if len(kept) == len(found.target.adapters):
            raise _unknown(endpoint, name)
        _change(platform, connection, found, kept)
        now = platform.clock.now()
        records.note(connection, by.tenant, now, by.key, "endpoints.remove-adapter", endpoint, adapter=name)
    platform.wake()
    return {"name": name, "endpoint": endpoint, "state": "removed"}


def show(platform: Platform, tenant: str, endpoint: str, name: str) -> Document:
    """Raises NotFound."""
    found = next((one for one in list_adapters(platform, tenant, endpoint) if one["name"] == name), None)
    if found is None:
        raise _unknown(endpoint, name)
    return found


def list_adapters(platform: Platform, tenant: str, endpoint: str) -> list[Document]:
    with platform.database.read() as connection:
        found = endpoints.get(connection, tenant, endpoint)
        return documents(found.target, records.live_replicas(connection, tenant, endpoint))


def _check_base(connection: records.Connection, found: Endpoint, version: Version) -> None:
    if version.state == "retired":
        raise Conflict(f"{version.reference} is retired: add another version.")
    manifest = version.manifest
    if not manifest.is_adapter or manifest.lineage.parent is None:
        raise Unprocessable(f"{version.reference} is no adapter: `gristmill models import FOLDER --base NAME@VERSION` "
                            "makes one, or a recipe with adapter: {merge: false}.", field="version")  # fmt: skip
    base = versions.resolve(connection, found.tenant, manifest.lineage.parent)
    if base.digest != found.target.digest:
        raise Unprocessable(
            f"{version.reference} adapts {base.reference}, and endpoint {found.name!r} serves {found.target.model}.",
            field="version",
        )


def _change(
    platform: Platform, connection: records.Connection, found: Endpoint, adapters: tuple[AdapterRef, ...]
) -> None:
    target = msgspec.structs.replace(found.target, adapters=adapters)
    endpoints.change(platform, connection, found, spec=msgspec.to_builtins(target), generation=found.generation + 1)


def _unknown(endpoint: str, name: str) -> NotFound:
    return NotFound(
        f"Endpoint {endpoint!r} has no adapter {name!r}: `gristmill endpoints adapters list {endpoint}` shows them."
    )
