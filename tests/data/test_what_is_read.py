import gzip
import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from gristmill.core.errors import Unprocessable
from gristmill.data.readers import read

SHARED = Path(__file__).parents[3] / "shared" / "data"


def picture(value: int, size: tuple[int, int] = (6, 5), kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size, value).save(buffer, kind)
    return buffer.getvalue()


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def test_the_same_table_reads_the_same_from_csv_jsonl_and_parquet(tmp_path: Path) -> None:
    rows = [{"a": 1.5, "b": "x,1", "n": 3}, {"a": None, "b": None, "n": 4}]
    (tmp_path / "t.csv").write_text('a,b,n\n1.5,"x,1",3\n,,4\n')
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    for name in ("t.csv", "t.jsonl", "t.parquet"):
        columns = read(tmp_path / name, {})
        assert columns["a"].dtype == np.float64
        np.testing.assert_array_equal(columns["a"], [1.5, np.nan])
        assert list(columns["b"]) == ["x,1", None]
        np.testing.assert_array_equal(columns["n"], np.asarray([3, 4]))


def test_a_table_without_a_header_numbers_its_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1;a\n2;b\n")
    assert list(read(tmp_path / "t.csv", {"header": False, "delimiter": ";"})) == ["c0", "c1"]
    assert list(read(tmp_path / "t.csv", {"columns": ["x", "y"], "delimiter": ";"})["y"]) == ["a", "b"]


def test_a_folder_of_one_table_a_split_keeps_the_splits(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("fine\t1\npoor\t0\n")
    (tmp_path / "dev.tsv").write_text("so so\t0\n")
    (tmp_path / "test.tsv").write_text('a "good" one\t1\n')
    (tmp_path / "README.md").write_text("what it is")
    columns = read(tmp_path, {"columns": ["text", "label"], "quote": False})
    assert columns["text"].tolist() == ["fine", "poor", "so so", 'a "good" one']
    assert columns["label"].tolist() == [1, 0, 0, 1]
    assert columns["split"].tolist() == ["train", "train", "validation", "test"]


@pytest.mark.parametrize(
    ("name", "rows", "says"),
    [
        ("test.csv", "words,label\nfine,1\n", "The test table has the columns words, label"),
        ("test.csv", "text,label\nfine,good\n", "Column 'label' holds other values in the test table"),
        ("validation.csv", "text,label\nfine,1\n", "two tables of validation rows, dev.csv and validation.csv"),
    ],
)
def test_tables_of_splits_that_do_not_fit_together_are_refused(tmp_path: Path, name: str, rows: str, says: str) -> None:
    for split in ("train.csv", "dev.csv"):
        (tmp_path / split).write_text("text,label\nfine,1\n")
    (tmp_path / name).write_text(rows)
    with pytest.raises(Unprocessable, match=says):
        read(tmp_path, {})


def test_text_in_another_encoding_is_read_when_it_is_named_and_refused_when_not(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("menü,n\ncafé,1\nthé,2\n".encode("latin-1"))
    assert read(path, {"encoding": "latin-1"})["menü"].tolist() == ["café", "thé"]
    with pytest.raises(Unprocessable, match="--encoding latin-1"):
        read(path, {})
    path.write_bytes("m,n\ncafé,1\nthé,2\n".encode("latin-1"))
    with pytest.raises(Unprocessable, match=r"The column 'm' of t.csv is not UTF-8 text"):
        read(path, {})
    with pytest.raises(Unprocessable, match="There is no encoding 'klingon'"):
        read(path, {"encoding": "klingon"})
    path.write_bytes(b"\xef\xbb\xbfm,n\nx,1\n")
    assert list(read(path, {})) == ["m", "n"]
    for delimiter in ("", ";;", 7):
        with pytest.raises(Unprocessable, match="one character"):
            read(path, {"delimiter": delimiter})


def test_image_folders_and_their_zips_read_alike(tmp_path: Path) -> None:
    files = {
        "train/cat/1.png": picture(10),
        "train/dog/1.png": picture(20),
        "test/cat/2.jpg": picture(30, (9, 9), "JPEG"),
    }
    for name, data in files.items():
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "f" / name).write_bytes(data)
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    for source in ("f", "f.zip"):
        columns = read(tmp_path / source, {})
        assert columns["image"].shape == (3, 5, 6, 1)
        assert columns["image"][1:, 0, 0, 0].tolist() in ([10, 20], [30, 10], [20, 30])
        assert sorted(zip(columns["label"], columns["split"], strict=True)) == [
            ("cat", "test"), ("cat", "train"), ("dog", "train"),
        ]  # fmt: skip


def test_idx_files_keep_their_split(tmp_path: Path) -> None:
    images = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    for part, count in (("train", 2), ("t10k", 1)):
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[:count])))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(count, dtype=np.uint8)))
    columns = read(tmp_path, {})
    assert columns["image"].shape == (3, 4, 4, 1)
    assert sorted(columns["split"]) == ["test", "train", "train"]


BROKEN: list[tuple[str, bytes, str]] = [
    ("empty.csv", b"", "not a consistent table"),
    ("head.csv", b"a,b\n", "no value in any row|is empty"),
    ("ragged.csv", b"a,b\n1,2\n3\n", "not a consistent table"),
    ("twice.csv", b"a,a\n1,2\n", "'a' twice"),
    ("void.csv", b"a,b\n1,\n2,\n", "'b' .* has no value"),
    ("lines.jsonl", b'{"a": 1}\n{"a"', "not one JSON object a line"),
    ("t.parquet", b"PAR1nonsense", "not a readable Parquet"),
    ("a.npz", b"PK\x03\x04nonsense", "not a readable NPZ"),
    ("a.zip", b"nonsense", "not a readable zip"),
    ("a.xyz", b"1", "of no known form"),
]


@pytest.mark.parametrize(("name", "content", "says"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_what_is_broken_or_empty_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Unprocessable, match=says) as refusal:
        read(tmp_path / name, {})
    assert "\n" not in refusal.value.message
    assert str(tmp_path) not in refusal.value.message


def test_pickled_objects_in_an_npz_are_refused_unread(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "a.npz", x=np.asarray([Bomb()], object))
    with pytest.raises(Unprocessable):
        read(tmp_path / "a.npz", {})
    assert not (tmp_path / "ran").exists()


def test_columns_of_different_length_and_broken_images_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3), y=np.zeros(4))
    with pytest.raises(Unprocessable, match="x 3, y 4"):
        read(tmp_path / "a.npz", {})
    (tmp_path / "f" / "cat").mkdir(parents=True)
    (tmp_path / "f" / "cat" / "1.png").write_bytes(picture(1)[:40])
    with pytest.raises(Unprocessable, match=r"cat/1\.png is broken"):
        read(tmp_path / "f", {})


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("source", "options", "rows"),
    [
        ("cifar10_subset/cifar10_jpg_10k_2k.zip", {}, 12_000),
        ("tabular/jbrownlee/winequality-red.csv", {"header": False}, 1_599),
        ("textcls/sst2", {"columns": ["text", "label"], "quote": False}, 9_613),
        ("textcls/banking77", {}, 13_083),
        ("mnist", {}, 70_000),
    ],
)
def test_real_data_sets_are_read_whole(source: str, options: dict[str, Any], rows: int) -> None:
    found = SHARED / source
    if not found.exists():
        pytest.skip(f"{source} is not here")
    columns = read(found, options)
    assert {len(values) for values in columns.values()} == {rows}
