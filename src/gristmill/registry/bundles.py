"""Bundles in and out of the blobs: every file by its digest, the manifest too; its digest names the bundle."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gristmill.bundles.digests import check_path, verify
from gristmill.bundles.manifest import MANIFEST, Manifest, decode_manifest
from gristmill.core.errors import CorruptBundle
from gristmill.core.faults import fault_point
from gristmill.core.ids import new_id
from gristmill.store.blobs import Blobs

_before_unpack = fault_point("bundles.before-unpack")
_after_unpack = fault_point("bundles.after-unpack")


def store_bundle(folder: Path, blobs: Blobs) -> tuple[str, Manifest]:
    """Verify and store; (digest, manifest). Idempotent. Raises CorruptBundle, StorageFull."""
    manifest = verify(folder)
    for name in manifest.files:
        blobs.put_file(folder / name)
    return blobs.put_file(folder / MANIFEST), manifest


def unpack(digest: str, blobs: Blobs, folder: Path) -> Manifest:
    """Put the bundle into `folder`, whole or not at all; one that is there is verified and, if broken, replaced.

    Raises CorruptBundle naming the file when the stored content is corrupt, NotFound, StorageFull.
    """
    if folder.exists():
        try:
            return verify(folder, digest)
        except CorruptBundle:
            shutil.rmtree(folder)
    temporary = folder.with_name(f".{folder.name}.{new_id('unpack')}")
    temporary.mkdir(parents=True)
    try:
        _copy(digest, blobs, temporary)
        manifest = verify(temporary, digest)
        _before_unpack()
        os.replace(temporary, folder)
        _after_unpack()
        return manifest
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def verify_stored(digest: str, blobs: Blobs) -> Manifest:
    """Read every stored file of the bundle. Raises CorruptBundle naming the file."""
    manifest = _manifest(digest, blobs)
    for name, entry in manifest.files.items():
        try:
            blobs.get(f"sha256:{entry.sha256}")
        except CorruptBundle:
            raise CorruptBundle(f"{name} is corrupt: its stored content does not have its digest.", file=name) from None
    return manifest


def _copy(digest: str, blobs: Blobs, folder: Path) -> None:
    manifest = _manifest(digest, blobs)
    blobs.fetch(digest, folder / MANIFEST)
    for name, entry in manifest.files.items():
        target = folder / check_path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            blobs.fetch(f"sha256:{entry.sha256}", target)
        except CorruptBundle:
            raise CorruptBundle(f"{name} is corrupt: its stored content does not have its digest.", file=name) from None


def _manifest(digest: str, blobs: Blobs) -> Manifest:
    try:
        return decode_manifest(blobs.get(digest))
    except CorruptBundle as error:
        raise CorruptBundle(f"manifest.json is corrupt: {error.message}", file=MANIFEST) from None
