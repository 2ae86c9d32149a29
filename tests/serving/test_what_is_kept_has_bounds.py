from __future__ import annotations

import os
import time
from pathlib import Path

from gristmill.serving.gateway.kept import Kept


def test_what_is_too_old_is_not_given_and_goes(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", 60.0, 1_000)
    kept.put("old", b"1")
    kept.put("new", b"2")
    os.utime(tmp_path / "kept" / "old", (time.time() - 61,) * 2)
    assert (kept.get("old"), kept.get("new")) == (None, b"2")
    kept.sweep()
    assert os.listdir(tmp_path / "kept") == ["new"]


def test_beyond_its_bytes_the_oldest_goes_first(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", 60.0, 1_000)
    for age in range(5):
        kept.put(f"age-{age}", b"x" * 300)
        os.utime(tmp_path / "kept" / f"age-{age}", (time.time() - age,) * 2)
    kept.sweep()
    assert sorted(os.listdir(tmp_path / "kept")) == ["age-0", "age-1", "age-2"]


def test_names_tell_parts_apart_and_only_the_owner_reads_the_files(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", 60.0, 1_000)
    assert len({Kept.name("ab", "c"), Kept.name("a", "bc"), Kept.name("abc")}) == 3
    kept.put("one", b"1")
    assert (tmp_path / "kept" / "one").stat().st_mode & 0o077 == 0
    assert (kept.remove("one"), kept.remove("one")) == (True, False)
