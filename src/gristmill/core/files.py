"""Durable files: written whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from gristmill.core.errors import StorageFull


@contextmanager
def full_disk_is_said() -> Iterator[None]:
    """Turn ENOSPC and EDQUOT into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("The disk is full: free some space; what was stored before is intact.") from error
        raise


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `data` beside `path`, fsync, rename over it, fsync the folder. On StorageFull `path` is as before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with full_disk_is_said():
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def keep_newest(folder: Path, kept: Collection[str], most: int) -> None:
    """Remove the folders in `folder` but for those named in `kept`, the `most` newest others, and hidden ones."""
    if not folder.exists():
        return
    others = [one for one in folder.iterdir() if one.is_dir() and one.name not in kept and not one.name.startswith(".")]
    for old in sorted(others, key=lambda one: one.stat().st_mtime, reverse=True)[most:]:
        shutil.rmtree(old, ignore_errors=True)
