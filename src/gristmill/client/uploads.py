"""What a client sends of its files: a file as it is, a folder as a tar; the server never reads a client's path."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import IO

from gristmill.client.calls import Call, Steps
from gristmill.core.errors import NotFound

UPLOAD_TIMEOUT_S = 600.0


def upload(path: Path, *, archive: bool | None = None) -> Steps[str]:
    """Upload a file or folder → the digest that later calls name it by. `archive`: the file is a tar of a folder."""
    if not path.exists():
        raise NotFound(f"There is no file {str(path)!r}.")
    packed = path.is_dir() if archive is None else archive
    with _packed(path) if path.is_dir() else path.open("rb") as file:
        reply = yield Call(
            "POST",
            "/uploads",
            params={"archive": "tar" if packed else None},
            content=file,
            headers={"content-type": "application/octet-stream"},
            timeout_s=UPLOAD_TIMEOUT_S,
        )
    return str(reply.json()["digest"])


def _packed(folder: Path) -> IO[bytes]:
    """A tar of the folder's regular files, names relative to it, sorted; owners and times are left out."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed by who uploads it
    with tarfile.open(fileobj=file, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                entry = tarfile.TarInfo(str(path.relative_to(folder)))
                entry.size = path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(entry, content)
    file.seek(0)
    return file
