"""Readers: files as people have them → columns. What is empty, broken or inconsistent is refused by its place."""

from __future__ import annotations

import codecs
import gzip
import io
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
from PIL import Image, UnidentifiedImageError

from gristmill.core.errors import Unprocessable
from gristmill.data.split_tables import joined, split_tables

Columns = dict[str, np.ndarray]
Options = Mapping[str, Any]
SPLIT = "split"  # column that an image folder's {train,test}/ gives
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
_MISSING = ["", "NA", "NaN", "nan", "null"]
_IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read(source: Path, options: Options) -> Columns:
    """Columns of a file or folder, by its form. Raises Unprocessable in one sentence."""
    columns = _reader(source)(source, options)
    lengths = {name: len(values) for name, values in columns.items()}
    if not lengths or not min(lengths.values()):
        raise Unprocessable(f"{source.name} is empty: a dataset needs at least one row and one column.")
    if len(set(lengths.values())) != 1:
        raise Unprocessable(f"The columns of {source.name} differ in length: {_listed(lengths)}.", got=lengths)
    return columns


def _reader(source: Path) -> Callable[[Path, Options], Columns]:
    if source.is_dir():
        if any("ubyte" in path.name for path in source.iterdir()):
            return read_idx_folder
        return read_table_folder if split_tables(source) else read_image_folder
    name = source.name.removesuffix(".gz").lower()
    for endings, reader in _BY_ENDING.items():
        if name.endswith(endings):
            return reader
    known = ", ".join(sorted(ending for endings in _BY_ENDING for ending in endings))
    raise Unprocessable(f"{source.name} is of no known form: known are {known}, image folders and IDX folders.")


def read_csv(source: Path, options: Options) -> Columns:
    """Comma or tab separated text; `header: false` names the columns c0, c1, ...; `delimiter`, `columns` as given.

    `encoding` as Python names it, as in latin-1; UTF-8 otherwise.
    """
    delimiter = options.get("delimiter", "\t" if ".tsv" in source.name else ",")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or not delimiter.isascii():
        raise Unprocessable("A delimiter is one character, as in ';'.", field="delimiter", got=delimiter)
    names = options.get("columns")
    header = options.get("header", names is None)
    encoding = _encoding(options.get("encoding", "utf-8"))
    try:
        table = pyarrow.csv.read_csv(
            source,
            read_options=pyarrow.csv.ReadOptions(column_names=names, autogenerate_column_names=not header and not names,
                                                 skip_rows=1 if header and names else 0, encoding=encoding),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True,
                                                   quote_char=False if options.get("quote") is False else '"'),
            convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True, null_values=_MISSING),
        )  # fmt: skip
        binary = next((column.name for column in table.schema if pa.types.is_binary(column.type)), None)
    except pa.ArrowInvalid as error:
        raise Unprocessable(f"{source.name} is not a consistent table: {_first_line(error)}") from None
    except UnicodeError:
        raise Unprocessable(f"{source.name} is not text in {encoding}: give its encoding, as in --encoding latin-1.",
                            field="encoding") from None  # fmt: skip
    if binary is not None:
        raise Unprocessable(f"The column {binary!r} of {source.name} is not UTF-8 text: give its encoding, as in "
                            "--encoding latin-1.", field="encoding")  # fmt: skip
    if not header and not names:
        table = table.rename_columns([f"c{place}" for place in range(table.num_columns)])
    return _from_table(table, source.name)


def _encoding(name: object) -> str:
    try:
        return codecs.lookup(str(name)).name
    except LookupError:
        raise Unprocessable(f"There is no encoding {name!r}: use one such as utf-8 or latin-1.", field="encoding",
                            got=name) from None  # fmt: skip


def read_jsonl(source: Path, options: Options) -> Columns:
    """One JSON object a line."""
    try:
        return _from_table(pyarrow.json.read_json(source), source.name)
    except pa.ArrowInvalid as error:
        raise Unprocessable(f"{source.name} is not one JSON object a line: {_first_line(error)}") from None


def read_parquet(source: Path, options: Options) -> Columns:
    try:
        return _from_table(pyarrow.parquet.read_table(source), source.name)
    except (pa.ArrowInvalid, OSError):
        raise Unprocessable(f"{source.name} is not a readable Parquet file.") from None


def read_table_folder(source: Path, options: Options) -> Columns:
    """{train,dev,validation,test}.csv, .tsv, .jsonl or .parquet, of the same columns."""
    return joined({split: read(path, options) for split, path in split_tables(source).items()}, SPLIT)


def read_npz(source: Path, options: Options) -> Columns:
    """Arrays by name, all of one length; pickled objects are refused. Images: uint8 [N, H, W] or [N, H, W, C]."""
    try:
        with np.load(source, allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise Unprocessable(f"{source.name} is not a readable NPZ of plain arrays: {_first_line(error)}") from None
    if any(values.ndim == 0 for values in columns.values()):
        raise Unprocessable(f"{source.name} holds a single value where a column is expected.")
    return {name: _text_objects(_with_channels(values)) for name, values in columns.items()}


def read_image_folder(source: Path, options: Options) -> Columns:
    """CLASS/NAME.png, or {train,test}/CLASS/NAME.png, whose first part becomes the column `split`."""
    paths = {path.relative_to(source).as_posix(): path for path in sorted(source.rglob("*")) if path.is_file()}
    return _from_images({name: path.read_bytes for name, path in paths.items()}, source.name, options)


def read_image_zip(source: Path, options: Options) -> Columns:
    """The same, zipped."""
    try:
        with zipfile.ZipFile(source) as archive:
            names = sorted(entry.filename for entry in archive.infolist() if not entry.is_dir())
            return _from_images({name: _member(archive, name) for name in names}, source.name, options)
    except zipfile.BadZipFile:
        raise Unprocessable(f"{source.name} is not a readable zip file.") from None


def read_idx_folder(source: Path, options: Options) -> Columns:
    """MNIST's own files: {train,t10k}-images-idx3-ubyte and -labels-idx1-ubyte, gzipped or not."""
    parts: dict[str, Columns] = {}
    for path in sorted(source.iterdir()):
        column = next(
            (column for word, column in (("images", "image"), ("labels", "label")) if word in path.name), None
        )
        if column:
            parts.setdefault("train" if path.name.startswith("train") else "test", {})[column] = read_idx(path)
    for split, columns in parts.items():
        if set(columns) != {"image", "label"}:
            raise Unprocessable(
                f"{source.name} lacks the {split} file of {'labels' if 'image' in columns else 'images'}."
            )
        if len(columns["image"]) != len(columns["label"]):
            raise Unprocessable(
                f"{source.name} has {len(columns['image'])} {split} images and {len(columns['label'])} labels."
            )
    joined = {name: np.concatenate([columns[name] for columns in parts.values()]) for name in ("image", "label")}
    if len(parts) > 1:
        joined[SPLIT] = np.asarray([split for split, columns in parts.items() for _ in columns["label"]], object)
    return {"image": _with_channels(joined.pop("image")), **joined}


def read_idx(path: Path) -> np.ndarray:
    """One IDX array (LeCun's format): two zero bytes, type, number of dimensions, big-endian sizes, values."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        data = file.read()
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES:
        raise Unprocessable(f"{path.name} is not an IDX file.")
    shape = struct.unpack_from(f">{data[3]}I", data, 4) if len(data) >= 4 + 4 * data[3] else ()
    dtype = np.dtype(_IDX_TYPES[data[2]])
    expected = 4 + 4 * data[3] + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if not shape or len(data) != expected:
        raise Unprocessable(f"{path.name} should have {expected} bytes by its header, and has {len(data)}.")
    return np.frombuffer(data, dtype, offset=4 + 4 * data[3]).reshape(shape).astype(dtype.newbyteorder("="))


_BY_ENDING: dict[tuple[str, ...], Callable[[Path, Options], Columns]] = {
    (".csv", ".tsv", ".txt"): read_csv,
    (".jsonl", ".ndjson"): read_jsonl,
    (".parquet",): read_parquet,
    (".npz",): read_npz,
    (".zip",): read_image_zip,
}


def _from_table(table: pa.Table, name: str) -> Columns:
    repeated = [column for column, count in Counter(table.column_names).items() if count > 1]
    if repeated:
        raise Unprocessable(f"{name} has the column {repeated[0]!r} twice: give every column a name of its own.")
    return {column: _from_arrow(table[column], column, name) for column in table.column_names}


def _from_arrow(values: pa.ChunkedArray, column: str, name: str) -> np.ndarray:
    kind = values.type
    if pa.types.is_null(kind) or values.null_count == len(values):
        raise Unprocessable(f"Column {column!r} of {name} has no value in any row: leave it out.", field=column)
    if pa.types.is_boolean(kind):
        return np.asarray([None if value is None else str(value).lower() for value in values.to_pylist()], object)
    if pa.types.is_integer(kind) and values.null_count == 0:
        return np.asarray(values.to_numpy(), np.int64)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return np.asarray(values.cast(pa.float64()).to_numpy(), np.float64)
    if pa.types.is_nested(kind):
        raise Unprocessable(
            f"Column {column!r} of {name} is nested: a column holds one plain value a row.", field=column
        )
    texts = values if pa.types.is_large_string(kind) or pa.types.is_binary(kind) else values.cast(pa.string())
    return np.asarray(texts.to_pylist(), object)


def _member(archive: zipfile.ZipFile, name: str) -> Callable[[], bytes]:
    return lambda: archive.read(name)


def _from_images(files: Mapping[str, Callable[[], bytes]], source: str, options: Options) -> Columns:
    names = [name for name in files if name.lower().endswith(_IMAGES)]
    parts = [PurePosixPath(name).parts[:-1] for name in names]
    if not names or any(not part for part in parts):
        raise Unprocessable(f"{source} holds no data: expected are CLASS/NAME.png images, or train.csv and test.csv.")
    split = len({part[-2:-1] for part in parts if len(part) > 1} & {("train",), ("test",), ("validation",)}) > 0
    pictures = list(_pictures(names, files, options))
    columns: Columns = {
        "image": _same_size(pictures, options),
        "label": np.asarray([part[-1] for part in parts], object),
    }
    if split:
        columns[SPLIT] = np.asarray([part[-2] for part in parts], object)
    return columns


def _pictures(names: list[str], files: Mapping[str, Callable[[], bytes]], options: Options) -> Iterator[Image.Image]:
    for name in names:
        try:
            with Image.open(io.BytesIO(files[name]())) as picture:
                grey = picture.mode in ("1", "L", "I", "I;16") or options.get("channels") == 1
                yield picture.convert("L" if grey else "RGB")
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            raise Unprocessable(f"The image {name} is broken: repair or remove it.", field=name) from None


def _same_size(pictures: list[Image.Image], options: Options) -> np.ndarray:
    common = Counter(picture.size for picture in pictures).most_common(1)[0][0]
    size = options.get("image_size") or common
    width, height = (size, size) if isinstance(size, int) else tuple(size)
    mode = "L" if all(picture.mode == "L" for picture in pictures) else "RGB"
    arrays = [np.asarray(_resized(picture.convert(mode), (width, height)), np.uint8) for picture in pictures]
    return _with_channels(np.stack(arrays))


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


def _with_channels(values: np.ndarray) -> np.ndarray:
    return values[..., None] if values.dtype == np.uint8 and values.ndim == 3 else values


def _text_objects(values: np.ndarray) -> np.ndarray:
    return values.astype(object) if values.dtype.kind in "US" else values


def _listed(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {length}" for name, length in lengths.items())


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].rstrip(".") + "."
