"""Uploads: what a client sends before it says what it is. The server never reads a path that a client names."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import time
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request

from gristmill.bundles.archives import extract_tar
from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.control.platform import Platform
from gristmill.control.uploads import PACKED, find, folder_of
from gristmill.core.errors import TooLarge, Unprocessable
from gristmill.core.files import full_disk_is_said
from gristmill.core.ids import new_id

router = APIRouter()
MAX_UPLOAD_BYTES = 16 * 2**30
KEPT_S = 24 * 3600.0  # an upload that nobody has used by then is forgotten


@router.post("/uploads", status_code=201)
async def upload(request: Request, here: Here, by: Developer, archive: Literal["tar"] | None = None) -> Json:
    """The raw body, kept under its digest; `archive=tar` when it is a packed folder."""
    folder = folder_of(here, by.tenant)
    await asyncio.to_thread(_forget_old, folder)
    temporary = folder / f".{new_id('upload')}"
    digest, size = hashlib.sha256(), 0
    try:
        with full_disk_is_said(), temporary.open("wb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_UPLOAD_BYTES:
                    raise TooLarge(f"An upload may have {MAX_UPLOAD_BYTES} bytes; this one has more.")
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
        if size == 0:
            raise Unprocessable("The upload is empty.")
        os.replace(temporary, folder / (digest.hexdigest() + (PACKED if archive else "")))
    finally:
        temporary.unlink(missing_ok=True)
    return Json({"digest": f"sha256:{digest.hexdigest()}", "size": size}, status_code=201)


def unpacked(platform: Platform, tenant: str, digest: str, filename: str, into: Path) -> Path:
    """An upload of the tenant as a file named `filename` in `into`, or as the folder that it packs. Raises NotFound."""
    stored = find(platform, tenant, digest)
    if stored.suffix == PACKED:
        target = into / "folder"
        with stored.open("rb") as file:
            extract_tar(file, target, MAX_UPLOAD_BYTES)
        return target
    target = into / _safe(filename)
    with full_disk_is_said():
        shutil.copyfile(stored, target)
    return target


def _safe(filename: str) -> str:
    """The name decides how the file is read; nothing of a path is taken."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", filename.rpartition("/")[2]).lstrip(".")
    return name[-100:] or "upload"


def _forget_old(folder: Path) -> None:
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > KEPT_S:
            path.unlink(missing_ok=True)
