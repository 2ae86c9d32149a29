"""Keys and tenants: made, checked, revoked. Only a keyed hash of a key's secret is stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gristmill.control import records
from gristmill.core import keys
from gristmill.core.clock import parse_iso
from gristmill.core.errors import Conflict, Forbidden, NotFound, Unprocessable
from gristmill.core.files import write_atomic
from gristmill.core.ids import check_name
from gristmill.core.routes import KeyLimits
from gristmill.core.types import Role

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

Document = dict[str, Any]
FIRST_TENANT = "default"
PEPPER_BYTES = 32


class Caller(NamedTuple):
    """Who calls: the key's id, its tenant, role and scopes (empty: every endpoint)."""

    key: str
    tenant: str
    role: Role
    scopes: tuple[str, ...]


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    role: Role = Role.consumer
    scopes: tuple[str, ...] = ()
    limits: KeyLimits = KeyLimits()
    expires_at: float | str | None = None
    tenant: str | None = None
    project: str | None = None


def read_pepper(file: Path) -> bytes:
    """The installation's secret beside the database, made at the first start."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(file, os.urandom(PEPPER_BYTES), mode=0o600)
    return file.read_bytes()


def ensure_admin(platform: Platform) -> None:
    """At the first start: the tenant `default`, and an admin key whose token stands in a file of mode 0600."""
    with platform.database.write() as connection:
        records.add_tenant(connection, FIRST_TENANT, platform.clock.now())
        minted = _admin_key(platform.settings.admin_key_file)
        if records.key_row(connection, minted.id) is None:
            _insert(platform, connection, FIRST_TENANT, minted, NewKey(name="admin", role=Role.admin), None)


def _admin_key(file: Path) -> keys.MintedKey:
    """The file is written before the row: killed in between, the next start finds the key here and makes the row."""
    if not file.exists():
        write_atomic(file, keys.mint().token.encode() + b"\n", mode=0o600)
    token = file.read_text().strip()
    identifier, secret = keys.parse(token)
    return keys.MintedKey(identifier, token, secret)


def authenticate(platform: Platform, token: str) -> Caller:
    """Raises Unauthenticated (no such form) or Forbidden (unknown, revoked, expired)."""
    identifier, secret = keys.parse(token)
    with platform.database.read() as connection:
        row = records.key_row(connection, identifier)
    if row is None or not keys.verify(platform.pepper, secret, row["secret_hash"]):
        raise Forbidden("This key is not known here.")
    if row["revoked_at"] is not None:
        raise Forbidden("This key was revoked.")
    if row["expires_at"] is not None and row["expires_at"] <= platform.clock.now():
        raise Forbidden("This key has expired.")
    return Caller(identifier, row["tenant"], Role(row["role"]), tuple(row["scopes"]))


def create_key(platform: Platform, by: Caller, request: Document) -> Document:
    wanted = _new_key(request)
    tenant = wanted.tenant or by.tenant
    if by.role != Role.admin and (tenant != by.tenant or wanted.role == Role.admin):
        raise Forbidden("Only an admin makes keys of another tenant or with the role admin.")
    expires_at = _moment(wanted.expires_at)
    minted = keys.mint()
    with platform.database.write() as connection:
        if tenant not in {row["tenant"] for row in records.tenant_rows(connection)}:
            raise NotFound(f"There is no tenant {tenant!r}: `gristmill tenants list` shows who there is.")
        _insert(platform, connection, tenant, minted, wanted, expires_at)
        records.note(connection, tenant, platform.clock.now(), by.key, "keys.create", minted.id, role=wanted.role)
        row = records.key_row(connection, minted.id)
    platform.wake()
    assert row is not None
    return _document(row) | {"token": minted.token}


def list_keys(platform: Platform, tenant: str | None) -> list[Document]:
    with platform.database.read() as connection:
        return [_document(row) for row in records.key_rows(connection, tenant)]


def revoke_key(platform: Platform, by: Caller, key: str) -> Document:
    with platform.database.write() as connection:
        row = records.key_row(connection, key)
        if row is None or (row["tenant"] != by.tenant and by.role != Role.admin):
            raise NotFound(f"There is no key {key!r}: `gristmill keys list` shows what there is.")
        if row["role"] == Role.admin and by.role != Role.admin:
            raise Forbidden("Only an admin revokes an admin's key.")
        records.revoke_key(connection, key, platform.clock.now())
        records.note(connection, row["tenant"], platform.clock.now(), by.key, "keys.revoke", key)
        row = records.key_row(connection, key)
    platform.wake()
    assert row is not None
    return _document(row)


def create_tenant(platform: Platform, by: Caller, tenant: str) -> Document:
    now = platform.clock.now()
    with platform.database.write() as connection:
        if not records.add_tenant(connection, check_name(tenant, "tenant"), now):
            raise Conflict(f"There is a tenant {tenant!r} already.")
        records.note(connection, tenant, now, by.key, "tenants.create", tenant)
    return {"tenant": tenant, "created_at": now, "weight": 1}


def list_tenants(platform: Platform) -> list[Document]:
    with platform.database.read() as connection:
        return records.tenant_rows(connection)


def _new_key(request: Document) -> NewKey:
    try:
        wanted = msgspec.convert(request, NewKey)
    except msgspec.ValidationError as error:
        raise Unprocessable(f"The key that is asked for is not valid: {error}.") from None
    if not wanted.name.strip() or len(wanted.name) > 100 or not wanted.name.isprintable():
        raise Unprocessable("A key's name is 1 to 100 printable characters.", field="name", got=wanted.name[:100])
    if wanted.project is not None:
        check_name(wanted.project, "project")
    return wanted


def _moment(value: float | str | None) -> float | None:
    if not isinstance(value, str):
        return value
    try:
        return parse_iso(value)
    except ValueError:
        raise Unprocessable(
            "expires_at is not a time: write it as 2026-12-31T00:00:00Z.", field="expires_at", got=value
        ) from None


def _insert(
    platform: Platform,
    connection: records.Connection,
    tenant: str,
    minted: keys.MintedKey,
    wanted: NewKey,
    expires_at: float | None,
) -> None:
    row = {
        "id": minted.id,
        "tenant": tenant,
        "name": wanted.name,
        "role": str(wanted.role),
        "scopes": list(wanted.scopes),
        "limits": msgspec.to_builtins(wanted.limits),
        "secret_hash": keys.secret_hash(platform.pepper, minted.secret),
        "created_at": platform.clock.now(),
        "expires_at": expires_at,
        "revoked_at": None,
        "project": wanted.project,
    }
    records.add_key(connection, row)


def _document(row: Document) -> Document:
    return {key: value for key, value in row.items() if key != "secret_hash"}
