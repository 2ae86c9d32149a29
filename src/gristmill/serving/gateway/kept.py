"""What gateways keep for a while, for themselves and for each other: a file each, in one folder of the home folder.

No database and no process stands between them, so that it is there while the controller is dead, and after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from hashlib import sha256
from pathlib import Path

from gristmill.core.files import full_disk_is_said

_SWEPT_EVERY_S = 60.0


class Kept:
    """Files whose age is at most `kept_s`, of `most_bytes` in all: beyond that the oldest go first."""

    def __init__(self, folder: Path, kept_s: float, most_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder, self._kept_s, self._most_bytes = folder, kept_s, most_bytes

    def __bool__(self) -> bool:
        """Whether anything is kept at all."""
        return self._kept_s > 0

    @staticmethod
    def name(*parts: str | bytes) -> str:
        """One name for these parts and no others: whose a thing is, is part of where it lies."""
        hashed = sha256()
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            hashed.update(len(data).to_bytes(8, "little") + data)  # sizes first, so that none runs into the next
        return hashed.hexdigest()

    def get(self, name: str) -> bytes | None:
        try:
            with (self.folder / name).open("rb") as file:
                return None if time.time() - os.fstat(file.fileno()).st_mtime > self._kept_s else file.read()
        except FileNotFoundError:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Whole or not at all; without fsync, as the journal: a kill -9 loses nothing. Raises StorageFull."""
        temporary = self.folder / f"{name}.{os.getpid()}.tmp"
        with full_disk_is_said():
            try:
                with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(data)
                os.replace(temporary, self.folder / name)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    def remove(self, name: str) -> bool:
        """Whether it was there."""
        try:
            (self.folder / name).unlink()
        except FileNotFoundError:
            return False
        return True

    async def sweep_for_ever(self) -> None:
        while True:
            await asyncio.to_thread(self.sweep)
            await asyncio.sleep(_SWEPT_EVERY_S)

    def sweep(self) -> None:
        """Several gateways may sweep at once: what is gone is gone."""
        found: list[tuple[float, int, str]] = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    told = entry.stat()
                    found.append((told.st_mtime, told.st_size, entry.path))
        expired, total = time.time() - self._kept_s, sum(size for _, size, _ in found)
        for at, size, path in sorted(found):
            if at >= expired and total <= self._most_bytes:
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            total -= size
