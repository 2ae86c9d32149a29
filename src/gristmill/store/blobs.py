"""Blobs: files by the SHA-256 of their content, on any fsspec file system. Verified on every read."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from gristmill.core.errors import CorruptBundle, NotFound, Unprocessable
from gristmill.core.faults import fault_point
from gristmill.core.files import full_disk_is_said
from gristmill.core.ids import new_id

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_CHUNK = 2**20
_before_put = fault_point("blobs.before-put")
_after_put = fault_point("blobs.after-put")


class Blobs:
    """`<root>/sha256/ab/abcdef...`; written beside and moved into place, so that a blob is whole or absent."""

    def __init__(self, url: str) -> None:
        self._files, root = fsspec.url_to_fs(url)
        self._root = str(root).rstrip("/")

    def put_bytes(self, data: bytes) -> str:
        """Store and return the digest. Raises StorageFull."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if not self.exists(digest):
            self._place(digest, lambda file: file.write(data))
        return digest

    def put_file(self, path: Path) -> str:
        """Store the file's content and return its digest. Raises StorageFull."""
        digest = file_digest(path)
        if not self.exists(digest):
            with path.open("rb") as source:
                self._place(digest, lambda file: shutil.copyfileobj(source, file, _CHUNK))
        return digest

    def get(self, digest: str) -> bytes:
        """Raises NotFound; CorruptBundle when the content is no longer what its name says."""
        with self._open(digest) as file:
            data = file.read()
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise CorruptBundle(
                f"The stored file {digest} is corrupt: its content no longer has its digest.", file=digest
            )
        return data

    def fetch(self, digest: str, path: Path) -> None:
        """Copy to `path`, which appears only once it is verified. Raises NotFound, CorruptBundle, StorageFull."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        hasher = hashlib.sha256()
        try:
            with full_disk_is_said(), self._open(digest) as source, temporary.open("wb") as target:
                while chunk := source.read(_CHUNK):
                    hasher.update(chunk)
                    target.write(chunk)
            if f"sha256:{hasher.hexdigest()}" != digest:
                raise CorruptBundle(
                    f"The stored file {path.name} is corrupt: its content does not have its digest.", file=path.name
                )
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def exists(self, digest: str) -> bool:
        return bool(self._files.exists(self._path(digest)))

    def size(self, digest: str) -> int:
        """Bytes. Raises NotFound."""
        try:
            return int(self._files.size(self._path(digest)))
        except FileNotFoundError:
            raise NotFound(f"There is no stored file {digest}.") from None

    def delete(self, digest: str) -> None:
        if self.exists(digest):
            self._files.rm_file(self._path(digest))

    def _open(self, digest: str) -> BinaryIO:
        try:
            return self._files.open(self._path(digest), "rb")  # type: ignore[no-any-return]
        except FileNotFoundError:
            raise NotFound(f"There is no stored file {digest}.") from None

    def _path(self, digest: str) -> str:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise Unprocessable(f"{digest!r} is not a digest: it should be sha256: and 64 hex digits.", got=digest)
        return f"{self._root}/sha256/{match[1][:2]}/{match[1]}"

    def _place(self, digest: str, write: Callable[[BinaryIO], object]) -> None:
        final = self._path(digest)
        temporary = f"{self._root}/incoming/{new_id('blob')}"
        self._files.makedirs(os.path.dirname(final), exist_ok=True)
        self._files.makedirs(os.path.dirname(temporary), exist_ok=True)
        _before_put()
        with full_disk_is_said():
            try:
                with self._files.open(temporary, "wb") as file:
                    write(file)
                    file.flush()
                    if isinstance(self._files, LocalFileSystem):
                        os.fsync(file.fileno())
                self._files.mv(temporary, final)
            finally:
                if self._files.exists(temporary):
                    self._files.rm_file(temporary)
        _after_put()


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
