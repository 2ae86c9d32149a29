"""The digests of a bundle's files: what the manifest says is what is there, or the bundle is refused."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path, PurePosixPath

from gristmill.bundles.manifest import MANIFEST, FileEntry, Manifest, decode_manifest, digest_of
from gristmill.core.errors import CorruptBundle


def scan(folder: Path) -> dict[str, FileEntry]:
    """Every file of `folder` but the manifest, by its POSIX path. Raises CorruptBundle on links and special files."""
    return {name: FileEntry(_digest(path), path.stat().st_size) for name, path in _files(folder) if name != MANIFEST}


def verify(folder: Path, digest: str | None = None) -> Manifest:
    """The manifest of a bundle whose every file is what it says; `digest` is the bundle's own, where known.

    Raises CorruptBundle naming the file: missing, extra, a link, of another size or content.
    """
    manifest = read_manifest(folder, digest)
    for name in manifest.files:
        check_path(name)
    found = dict(_files(folder))
    found.pop(MANIFEST)
    for name in sorted(manifest.files.keys() ^ found.keys()):
        what = "is missing from the bundle" if name in manifest.files else "is not named in the bundle's manifest"
        raise CorruptBundle(f"{name} {what}.", file=name)
    for name, entry in manifest.files.items():
        if found[name].stat().st_size != entry.size or _digest(found[name]) != entry.sha256:
            raise CorruptBundle(f"{name} is corrupt: its content does not have the digest in the manifest.", file=name)
    return manifest


def read_manifest(folder: Path, digest: str | None = None) -> Manifest:
    """Raises CorruptBundle when it is absent, not a manifest, or not the one with `digest`."""
    try:
        data = (folder / MANIFEST).read_bytes()
    except OSError:
        raise CorruptBundle("manifest.json is missing from the bundle.", file=MANIFEST) from None
    if digest is not None and digest_of(data) != digest:
        raise CorruptBundle("manifest.json is corrupt: it does not have the version's digest.", file=MANIFEST)
    return decode_manifest(data)


def check_path(name: str) -> str:
    """`name` if it stays inside a folder on every system. Raises CorruptBundle."""
    path = PurePosixPath(name)
    parts_are_plain = all(part not in ("", ".", "..") for part in name.split("/"))
    if path.is_absolute() or not parts_are_plain or "\\" in name or ":" in name or "\0" in name:
        raise CorruptBundle(f"{name!r} in the manifest is not a path inside the bundle.", file=name)
    return name


def _files(folder: Path) -> list[tuple[str, Path]]:
    found = []
    for parent, folders, files in os.walk(folder, followlinks=False):
        for entry in (*folders, *files):
            path = Path(parent) / entry
            name = path.relative_to(folder).as_posix()
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode):
                continue
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise CorruptBundle(f"{name} is a link or a special file: a bundle has regular files only.", file=name)
            found.append((name, path))
    return sorted(found)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
