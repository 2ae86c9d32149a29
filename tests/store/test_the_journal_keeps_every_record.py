import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import StorageFull
from gristmill.core.types import UsageRecord
from gristmill.store.journal import Journal, prune, read_records


def record(number: int) -> UsageRecord:
    return UsageRecord(f"r{number}", "default", "k", "e", "m@1", "sha256:0", "infer", 200, 1.5, 1, 10, 20, 30, 40)


def read_all(folder: Path, position: int = 0) -> list[str]:
    ids: list[str] = []
    while True:
        records, following = read_records(folder, position, 7)
        if not records:
            return ids
        ids += [found.id for found in records]
        position = following


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 20), max_size=12), st.integers(100, 3000))
def test_what_was_appended_is_read_back_in_order_over_any_number_of_segments(
    sizes: list[int], segment_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = Journal(folder, segment_bytes)
        written = 0
        for size in sizes:
            journal.append([record(written + place) for place in range(size)])
            written += size
        journal.close()
        assert read_all(folder) == [f"r{number}" for number in range(written)]


def test_a_writer_that_died_at_any_byte_loses_only_the_record_it_was_writing(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    journal = Journal(whole, 10**6)
    journal.append([record(0), record(1)])
    journal.close()
    data = (whole / "00000000.journal").read_bytes()
    first = len(data) // 2
    for cut in range(len(data)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "00000000.journal").write_bytes(data[:cut])
        assert read_all(folder) == (["r0"] if cut >= first else [])
        position = read_records(folder, 0, 10)[1]
        successor = Journal(folder, 10**6)
        successor.append([record(2)])
        successor.close()
        assert read_all(folder, position) == ["r2"]


def test_a_torn_tail_of_the_last_segment_is_waited_for(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 10**6)
    journal.append([record(0)])
    data = (tmp_path / "00000000.journal").read_bytes()
    with (tmp_path / "00000000.journal").open("ab") as file:
        file.write(data[:10])
        file.flush()
        records, position = read_records(tmp_path, 0, 10)
        assert [found.id for found in records] == ["r0"]
        file.write(data[10:])
    assert [found.id for found in read_records(tmp_path, position, 10)[0]] == ["r0"]
    journal.close()


def test_a_full_disk_is_said_and_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, 10**6)
    journal.append([record(0)])
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
    with pytest.raises(StorageFull, match="disk is full"):
        journal.append([record(1), record(2)])
    monkeypatch.undo()
    journal.append([record(3)])
    journal.close()
    assert read_all(tmp_path) == ["r0", "r3"]


def test_posted_segments_are_pruned_and_the_position_stays_good(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 200)
    for number in range(10):
        journal.append([record(number)])
    _, position = read_records(tmp_path, 0, 6)
    prune(tmp_path, position)
    assert read_all(tmp_path, position) == [f"r{number}" for number in range(6, 10)]
    assert not (tmp_path / "00000000.journal").exists()
    journal.close()


def test_a_segment_of_before_texts_were_timed_is_read(tmp_path: Path) -> None:
    names = UsageRecord.__struct_fields__[: -len(("first_token_us", "per_token_us", "energy_uj"))]
    former = msgspec.defstruct("Former", list(names), array_like=True)
    journal = Journal(tmp_path, 10_000)
    journal.append([former(*(getattr(record(1), name) for name in names))])  # type: ignore[list-item]
    journal.close()
    assert read_records(tmp_path, 0, 7)[0] == [record(1)]
