"""`manifest.json`: what a bundle is, and the digests of its other files. Its own sha256 is the bundle's digest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from gristmill.core.errors import CorruptBundle
from gristmill.core.files import write_atomic
from gristmill.core.types import Signature

FORMAT_VERSION = 1
MANIFEST, PREPROCESSING, CARD, GOLDEN = "manifest.json", "preprocess.json", "card.md", "golden.npz"
ADAPTER = "lora"  # runtime of a LoRA adapter: nothing opens it but an engine that holds its base, `lineage.parent`


class FileEntry(msgspec.Struct, frozen=True):
    sha256: str
    size: int


class Lineage(msgspec.Struct, frozen=True):
    run: str | None = None
    datasets: tuple[str, ...] = ()  # NAME@VERSION
    dataset_digests: tuple[str, ...] = ()
    recipe: dict[str, Any] | None = None
    code: str = ""
    parent: str | None = None  # NAME@VERSION that this one was made from
    imported_from: str | None = None  # the file, folder or URI that it was imported from


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    format_version: int = FORMAT_VERSION
    name: str
    task: str
    framework: str
    runtime: str
    architecture: dict[str, Any]
    signature: Signature
    lineage: Lineage
    files: dict[str, FileEntry]
    parameters: int
    licence: str | None
    created_at: float
    metrics: dict[str, float] = {}

    @property
    def is_adapter(self) -> bool:
        return self.runtime == ADAPTER

    @property
    def size(self) -> int:
        """Bytes of all files but the manifest."""
        return sum(entry.size for entry in self.files.values())


def encode_manifest(manifest: Manifest) -> bytes:
    """Canonical bytes: the same manifest has the same digest everywhere."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2)


def write_manifest(bundle: Path, manifest: Manifest) -> str:
    """Write it and return the bundle's digest, `sha256:` and 64 hex digits."""
    data = encode_manifest(manifest)
    write_atomic(bundle / MANIFEST, data)
    return digest_of(data)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def decode_manifest(data: bytes) -> Manifest:
    """Raises CorruptBundle when it is not a manifest of a known format."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise CorruptBundle(f"manifest.json is not a bundle's manifest: {error}.", file=MANIFEST) from None
    if manifest.format_version != FORMAT_VERSION:
        raise CorruptBundle(
            f"The bundle has format version {manifest.format_version}; this Gristmill reads version {FORMAT_VERSION}.",
            file=MANIFEST,
        )
    return manifest
