"""Where uploads lie until they are used: by tenant, under their digest."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.control import records
from gristmill.control.state import Run
from gristmill.core.errors import NotFound

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

PACKED = ".tar"  # suffix of a packed folder
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def folder_of(platform: Platform, tenant: str) -> Path:
    folder = platform.settings.home_path / "uploads" / tenant
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def find(platform: Platform, tenant: str, digest: str) -> Path:
    """The tenant's upload: a file, or a folder's tar with the suffix PACKED. Raises NotFound."""
    match = _DIGEST.fullmatch(digest)
    plain = folder_of(platform, tenant) / (match[1] if match else "none")
    packed = plain.with_name(plain.name + PACKED)
    if packed.exists():
        return packed
    if not plain.exists():
        raise NotFound("There is no such upload: upload the file again; it is kept until it is imported, for a day at "
                       "most.", got=digest)  # fmt: skip
    return plain


def forget(platform: Platform, run: Run) -> None:
    """What an import run has read, unless it was uploaded again since or another run is to read it."""
    digest = run.request["upload"]
    if digest is None:
        return
    with platform.database.read() as connection:
        others = [other for other in records.open_runs(connection) if other.tenant == run.tenant]
    if any(other.request.get("upload") == digest for other in others):
        return
    with suppress(NotFound, FileNotFoundError):
        path = find(platform, run.tenant, digest)
        if path.stat().st_mtime <= run.created_at:
            path.unlink()
