"""Large memory of this process in pages of 2 MiB, where Linux takes advice on that.

Decoding reads all weights for each token. In pages of 4 KiB every page of them is looked up anew, in a virtual machine
in two tables: SmolLM2's products for one token took 22 ms of a core, and take 16 in large pages.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

_MAPS = Path("/proc/self/smaps")
_LARGE = 2**21
_WORTH = 2**25  # bytes of a region: weights stand in such ones, and moving the rest costs a second of loading
_HUGEPAGE, _COLLAPSE = 14, 25  # madvise(2): from now on; at once, since Linux 6.1
_HEAD = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *(\[heap\])?$")  # anonymous, private


class _Region(NamedTuple):
    start: int
    stop: int

    @property
    def whole(self) -> tuple[int, int]:
        """Start and length of the large pages inside."""
        start = -(-self.start // _LARGE) * _LARGE
        return start, max(0, self.stop // _LARGE * _LARGE - start)


def use_huge_pages(but: Collection[int] = ()) -> None:
    """Only large regions in use by more than half: next to no memory is added. Where it cannot be, nothing changes.

    `but`: addresses in regions that stay as they are.
    """
    if sys.platform != "linux" or not _MAPS.exists():
        return
    for region in _used(_MAPS.read_text()):
        start, length = region.whole
        if any(region.start <= address < region.stop for address in but):
            continue
        if length >= _WORTH and _advise(start, length, _HUGEPAGE):
            _advise(start, length, _COLLAPSE)


def prefer_huge_pages(start: int, size: int) -> None:
    """For memory at `start` of `size` bytes that is not in use yet."""
    if sys.platform == "linux":
        _advise(*_Region(start, start + size).whole, _HUGEPAGE)


def _advise(start: int, length: int, advice: int) -> bool:
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return length > 0 and bool(madvise(start, length, advice) == 0)


def _used(maps: str) -> Iterator[_Region]:
    region = _Region(0, 0)
    for line in maps.splitlines():
        first = line.partition(" ")[0]
        if "-" in first:
            head = _HEAD.match(line)
            region = _Region(int(head[1], 16), int(head[2], 16)) if head else _Region(0, 0)
        elif first == "Rss:" and int(line.split()[1]) * 1024 > (region.stop - region.start) / 2:
            yield region
