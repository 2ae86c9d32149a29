"""Bundles of what replicas serve, unpacked beside the look at everything else: gigabytes take a while."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.core.files import keep_newest
from gristmill.registry import bundles

if TYPE_CHECKING:
    from gristmill.control.platform import Platform


class Unpacking:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._threads = ThreadPoolExecutor(2, "unpack")
        self._under_way: dict[str, Future[object]] = {}  # by digest

    def folder(self, digest: str) -> Path:
        return self._platform.settings.bundles / digest.removeprefix("sha256:")

    def done(self, digest: str) -> bool:
        """Whether the bundle lies whole in its folder, verified just now. Raises what unpacking it raised."""
        unpacking = self._under_way.get(digest)
        if unpacking is None:
            unpacking = self._threads.submit(bundles.unpack, digest, self._platform.blobs, self.folder(digest))
            self._under_way[digest] = unpacking
            unpacking.add_done_callback(lambda _: self._platform.wake())
        if not unpacking.done():
            return False
        del self._under_way[digest]
        unpacking.result()
        return True

    def tidy(self, used: Iterable[str], most: int) -> None:
        """Keep those of the digests that are used and the `most` newest others."""
        keep_newest(self._platform.settings.bundles, {self.folder(digest).name for digest in used}, most)
