from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from gristmill.frameworks.huge_pages import use_huge_pages

_ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_OF_PROCESS = Path("/proc/self/smaps_rollup")
offered = pytest.mark.skipif(
    not _ENABLED.exists() or "[never]" in _ENABLED.read_text(), reason="this machine has no huge pages to give"
)


def in_large_pages() -> int:
    """KiB."""
    return sum(int(line.split()[1]) for line in _OF_PROCESS.read_text().splitlines() if "AnonHugePages" in line)


@offered
def test_memory_in_use_moves_to_large_pages_and_keeps_its_contents() -> None:
    values = np.arange(2**23, dtype=np.int64)  # 64 MiB
    use_huge_pages()
    assert in_large_pages() > 32 * 1024
    assert (values == np.arange(2**23)).all()


@offered
def test_memory_that_is_reserved_and_not_used_stays_so() -> None:
    use_huge_pages()
    before = in_large_pages()
    reserved = np.zeros(2**25, dtype=np.int64)  # 256 MiB, none of it touched
    use_huge_pages()
    assert in_large_pages() - before < 16 * 1024
    assert reserved.size == 2**25


@offered
def test_a_region_that_is_named_stays_as_it_is() -> None:
    values = np.frombuffer(mmap.mmap(-1, 2**27, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)
    values[:] = 1  # 128 MiB that numpy has not asked large pages for
    use_huge_pages(but=[values.ctypes.data])
    before = in_large_pages()
    use_huge_pages()
    assert in_large_pages() - before > 64 * 1024
