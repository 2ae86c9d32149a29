"""Unpacking what strangers packed: regular files only, inside the folder only, within limits; all or nothing."""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gristmill.bundles.digests import check_path
from gristmill.core.errors import CorruptBundle, Malformed, TooLarge
from gristmill.core.files import full_disk_is_said

MAX_FILES = 200_000
_CHUNK = 2**20
_SMALL = 256 * 2**20  # what may unpack to any multiple of its size

_Member = tuple[str, BinaryIO]


def extract_tar(stream: BinaryIO, folder: Path, max_bytes: int) -> None:
    """Unpack a tar, compressed or not, into the new `folder`. Raises Malformed, TooLarge; then nothing is left."""
    try:
        with tarfile.open(fileobj=stream, mode="r:*") as archive:
            _extract(_tar_members(archive), folder, max_bytes)
    except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise Malformed("The archive is not a readable tar file.") from error


def extract_zip(stream: BinaryIO, folder: Path, max_bytes: int) -> None:
    """Unpack a zip into the new folder `folder`. Raises Malformed, TooLarge; then nothing is left."""
    try:
        with zipfile.ZipFile(stream) as archive:
            _extract(_zip_members(archive), folder, max_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise Malformed("The archive is not a readable zip file.") from error


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Member]:
    for member in archive:
        if member.isdir():
            continue
        content = archive.extractfile(member) if member.isreg() else None
        if content is None:
            raise Malformed(f"{member.name!r} in the archive is a link or a special file: pack regular files only.")
        yield member.name.removeprefix("./"), content  # type: ignore[misc]


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for member in archive.infolist():
        if member.filename.endswith("/"):
            continue
        mode = member.external_attr >> 16
        if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
            raise Malformed(f"{member.filename!r} in the archive is a link or a special file: pack regular files only.")
        with archive.open(member) as content:
            yield member.filename, content  # type: ignore[misc]


def _extract(members: Iterator[_Member], folder: Path, max_bytes: int) -> None:
    folder.mkdir(parents=True)
    left = max_bytes
    try:
        for count, (name, content) in enumerate(members, 1):
            if count > MAX_FILES:
                raise TooLarge(f"The archive has more than {MAX_FILES} files.")
            left = _write(_inside(folder, name), name, content, left)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _inside(folder: Path, name: str) -> Path:
    try:
        path = folder / check_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
    except (CorruptBundle, OSError):
        raise Malformed(f"{name!r} in the archive is not a path inside it.") from None
    return path


def _write(path: Path, name: str, content: BinaryIO, left: int) -> int:
    try:
        with full_disk_is_said(), path.open("xb") as file:
            while chunk := content.read(_CHUNK):
                left -= len(chunk)  # what is unpacked counts, whatever the archive's header says
                if left < 0:
                    raise TooLarge("The archive unpacks to more bytes than are allowed.")
                file.write(chunk)
    except FileExistsError:
        raise Malformed(f"{name!r} stands twice in the archive.") from None
    return left


def write_tar(folder: Path, path: Path) -> None:
    """Pack the folder's regular files into a tar at `path`: sorted, without owners or times."""
    with tarfile.open(path, "w") as tar:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.is_symlink():
                entry = tarfile.TarInfo(str(file.relative_to(folder)))
                entry.size = file.stat().st_size
                with file.open("rb") as content:
                    tar.addfile(entry, content)


def _check_readers_agree(path: Path, members: list[zipfile.ZipInfo], comment: bytes) -> None:
    """What is checked here is what another reader of zips will see: one entry a name, nothing before or after them."""
    names = {member.filename.casefold() for member in members}
    first = min((member.header_offset for member in members), default=0)
    if len(names) != len(members) or comment or first != 0:
        raise Malformed(f"{path.name} is a zip that readers may read in different ways: save the model again.")


def check_zip(path: Path, most_expansion: int = 100) -> list[str]:
    """Names in a zip that a library reads in place. Raises Malformed (a path out of it, a link), TooLarge (a bomb).

    Weights hardly compress: what declares `most_expansion` times its own size is made to fill memory. Readers stop at
    the declared sizes, so those are what counts.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members, comment = archive.infolist(), archive.comment
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
        raise Malformed(f"{path.name} is not a readable zip file.") from error
    _check_readers_agree(path, members, comment)
    for member in members:
        try:
            check_path(member.filename.rstrip("/"))
        except CorruptBundle:
            raise Malformed(f"{member.filename!r} in {path.name} is not a path inside it.") from None
        mode = member.external_attr >> 16
        if stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise Malformed(f"{member.filename!r} in {path.name} is a link or a special file.")
    declared = sum(member.file_size for member in members)
    if declared > _SMALL and declared > most_expansion * path.stat().st_size:
        raise TooLarge(f"{path.name} unpacks to {declared} bytes, far more than weights do: it is refused.")
    return [member.filename for member in members]
