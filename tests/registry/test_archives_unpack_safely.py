import io
import os
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.bundles.archives import extract_tar, extract_zip
from gristmill.core.errors import GristmillError, Malformed, TooLarge

names = st.text(st.sampled_from("ab./\\:\0~"), min_size=1, max_size=12)


def tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    stream.seek(0)
    return stream


def test_regular_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    extract_tar(tar([(tarfile.TarInfo("./a/b.txt"), b"1"), (tarfile.TarInfo("c"), b"22")]), tmp_path / "out", 100)
    assert {
        p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()
    } == {
        "a/b.txt": b"1",
        "c": b"22",
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=200, deadline=None)
@given(st.lists(names, min_size=1, max_size=4))
def test_no_name_in_an_archive_reaches_outside_the_folder(members: list[str]) -> None:
    for pack, extract in ((tar_of, extract_tar), (zip_of, extract_zip)):
        with tempfile.TemporaryDirectory() as folder:
            try:
                extract(pack(members), Path(folder) / "in" / "out", 100)
            except GristmillError:
                assert not (Path(folder) / "in" / "out").exists()
            outside = [path for path in Path(folder).rglob("*") if path.is_file() and "out" not in path.parts]
            assert outside == []


def tar_of(members: list[str]) -> io.BytesIO:
    return tar([(tarfile.TarInfo(name.replace("\0", "_")), b"x") for name in members])


def zip_of(members: list[str]) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in members:
            archive.writestr(zipfile.ZipInfo(name), b"x")
    stream.seek(0)
    return stream


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_special_files_are_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("card.md")
    member.type, member.linkname = kind, "/etc/hostname"
    with pytest.raises(Malformed, match="link or a special file"):
        extract_tar(tar([(member, b"")]), tmp_path / "out", 100)
    assert not (tmp_path / "out").exists()


def test_a_bomb_is_stopped_by_what_it_unpacks_to(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**7))
    stream.seek(0)
    assert len(stream.getvalue()) < 10**5
    with pytest.raises(TooLarge):
        extract_zip(stream, tmp_path / "out", 10**6)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("extract", [extract_tar, extract_zip])
def test_noise_is_no_archive(tmp_path: Path, extract: object) -> None:
    assert callable(extract)
    with pytest.raises(Malformed):
        extract(io.BytesIO(os.urandom(2000)), tmp_path / "out", 10**6)
