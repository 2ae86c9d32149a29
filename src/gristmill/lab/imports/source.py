"""What is imported, on this run's own disk: an upload unpacked within limits, or what a URI names. Gone afterwards."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gristmill.bundles.archives import extract_tar, extract_zip
from gristmill.core.errors import GristmillError, Unprocessable
from gristmill.core.types import ImportRef
from gristmill.lab.imports import hugging_face_hub, mlflow_registry

# Weights hardly compress: what unpacks to a hundred times its size is made to fill the disk.
_MOST_EXPANSION = 100
_ALWAYS_ALLOWED = 256 * 2**20
_SCHEMES = {"hf": hugging_face_hub.fetch, "mlflow": mlflow_registry.fetch}
_ZIPPED, _TARRED = (".zip",), (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")


@contextmanager
def opened(ref: ImportRef, folder: Path) -> Iterator[Path]:
    """The file under its own name, or the folder. Raises Unprocessable, Malformed, TooLarge, Unavailable."""
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that died
    folder.mkdir(parents=True)
    try:
        yield _placed(ref, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _placed(ref: ImportRef, folder: Path) -> Path:
    scheme, separator, rest = ref.source.partition("://")
    if separator:
        if scheme not in _SCHEMES:
            raise Unprocessable(f"{scheme}:// is not known: import hf://ORG/NAME or mlflow://NAME/VERSION.",
                                field="source", got=scheme)  # fmt: skip
        return _SCHEMES[scheme](rest, folder)
    if ref.upload is None:
        raise Unprocessable("Nothing was uploaded to import.", field="upload")
    upload, name = Path(ref.upload), safe_name(ref.source)
    most = max(_ALWAYS_ALLOWED, _MOST_EXPANSION * upload.stat().st_size)
    unpack = extract_tar if ref.packed or name.endswith(_TARRED) else extract_zip if name.endswith(_ZIPPED) else None
    if unpack is None:
        target = folder / name
        shutil.copyfile(upload, target)
        return target
    target = folder / name.partition(".")[0]
    try:
        with upload.open("rb") as file:
            unpack(file, target, most)
    except GristmillError as error:
        raise Unprocessable(f"{name} is refused: {error.message}", field="source") from error
    return _only_folder(target)


def _only_folder(folder: Path) -> Path:
    """An archive often holds one folder that holds all."""
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def safe_name(source: str) -> str:
    """The last part of a path; its suffix says the format."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", source.rstrip("/").rpartition("/")[2]).lstrip(".")
    return name[-100:] or "upload"
