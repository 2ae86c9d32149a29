"""Whose the blobs are: dataset versions and model versions own them; one that several own is shared by them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from gristmill.bundles.manifest import FileEntry
from gristmill.control import records
from gristmill.core.errors import NotFound
from gristmill.core.money import split_largest_remainder
from gristmill.store.blobs import Blobs


class Owned(NamedTuple):
    """One blob of an owner (dataset:NAME@N or version:NAME@N) since it was made."""

    digest: str
    size: int
    tenant: str
    owner: str
    since: float


def owned(connection: records.Connection, blobs: Blobs) -> list[Owned]:
    """Every blob with each of its owners."""
    found: list[Owned] = []
    for row in records.dataset_rows(connection):
        digests = {row["manifest"].get(part) for part in ("content", "splits")} - {None}
        sizes = {digest: _size(blobs, digest) for digest in digests}
        found += _of(row, f"dataset:{row['name']}@{row['version']}", sizes)
    for row in records.version_rows(connection):
        files = msgspec.convert(row["manifest"].get("files", {}), dict[str, FileEntry])
        sizes = {f"sha256:{entry.sha256}": entry.size for entry in files.values()}
        found += _of(row, f"version:{row['model']}@{row['version']}", sizes)
    return found


def kept(blobs: Sequence[Owned], start: float, end: float) -> dict[str, dict[str, int]]:
    """tenant → owner → bytes kept from `start` to `end` on average; owners of one blob share it by their time."""
    by_digest: dict[str, list[Owned]] = defaultdict(list)
    for blob in blobs:
        if blob.since < end:
            by_digest[blob.digest].append(blob)
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for owners in by_digest.values():
        seconds = [int(end - max(start, blob.since)) for blob in owners]
        whole = owners[0].size * max(seconds) // int(end - start)
        for blob, part in zip(owners, split_largest_remainder(whole, seconds) or [], strict=False):
            found[blob.tenant][blob.owner] += part
    return {tenant: dict(parts) for tenant, parts in found.items()}


def _of(row: dict[str, Any], owner: str, sizes: dict[str, int]) -> list[Owned]:
    return [Owned(digest, size, row["tenant"], owner, row["created_at"]) for digest, size in sizes.items()]


def _size(blobs: Blobs, digest: str) -> int:
    try:
        return blobs.size(digest)
    except NotFound:  # not kept, so nothing to pay for
        return 0
