"""A process and its folder: `lock` is held while it lives, `process.json` says which one it is.

The lock makes "nothing is started twice" a fact of the kernel: the second process of a folder finds it taken and
leaves, even when the one that started the first died before it could write anything down.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import msgspec
import psutil

from gristmill.core.files import write_atomic


class ProcessFile(msgspec.Struct, frozen=True):
    pid: int
    started_at: float  # psutil's create_time: tells a process from a later one that got its pid


def claim(folder: Path) -> None:
    """Called once by a process at start. Exits with status 0 when another process of this folder lives."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(0)
    os.set_inheritable(descriptor, False)
    _HELD.append(descriptor)
    record = ProcessFile(os.getpid(), psutil.Process().create_time())
    write_atomic(folder / "process.json", msgspec.json.encode(record))


_HELD: list[int] = []  # kept open for the life of the process: closing would release the lock


def living(folder: Path) -> psutil.Process | None:
    """The living process of `folder`, or None. A zombie is not living."""
    try:
        record = msgspec.json.decode((folder / "process.json").read_bytes(), type=ProcessFile)
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.started_at) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, msgspec.DecodeError, psutil.Error):
        return None
