"""A `.keras` file read as data before Keras opens it: layers of Keras itself only, weights inside the file only."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gristmill.bundles.archives import check_zip
from gristmill.core.errors import CorruptBundle, TooLarge, Unprocessable

_MEMBERS = re.compile(r"(metadata|config)\.json|model\.weights\.h5|assets/.*")
_MODULES = re.compile(r"(keras|builtins)(\.\w+)*")
# Keras's own classes that hold code, or run a file of another format.
_CODE = {"Lambda", "__lambda__", "function", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
_CONVERT = "rebuild the model with Keras's own layers, or export it as a SavedModel and import that"
_MOST_EXPANSION = 100


def check_archive(path: Path) -> None:
    """Raises Unprocessable, CorruptBundle, Malformed or TooLarge with one sentence; nothing of it is run."""
    for name in check_zip(path):
        if not _MEMBERS.fullmatch(name):
            raise Unprocessable(f"{path.name} carries {name!r}, which no .keras file has.", field="source")
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            weights = archive.read("model.weights.h5")
    except (zipfile.BadZipFile, zlib.error, RuntimeError, KeyError, ValueError) as error:
        raise CorruptBundle(f"{path.name} is not a .keras file: its config or its weights cannot be read.",
                            file=path.name) from error  # fmt: skip
    config.pop("compile_config", None)  # of training; serving does not read it
    for part in _classes(config):
        _check_class(path, part)
    _check_weights(path, weights)


def _classes(config: Any) -> Iterator[dict[str, Any]]:
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _check_class(path: Path, part: dict[str, Any]) -> None:
    name, module, registered = str(part["class_name"]), part.get("module"), part.get("registered_name")
    if name in _CODE:
        raise Unprocessable(f"{path.name} has a {name} layer, whose code would run here: {_CONVERT}.", field=name)
    config = part.get("config")
    if isinstance(config, dict) and isinstance(config.get("vocabulary"), str):
        raise Unprocessable(
            f"{path.name} has a {name} layer that reads its vocabulary from a file of this machine: save the model "
            "with the vocabulary inside.", field=name,
        )  # fmt: skip
    own = module is None or (isinstance(module, str) and _MODULES.fullmatch(module))
    if not own or (registered is not None and registered != name):
        raise Unprocessable(f"{path.name} needs the class {name!r}, which is not Keras's own: {_CONVERT}.", field=name)


def _check_weights(path: Path, data: bytes) -> None:
    """HDF5 can point at other files, and can declare more than it holds."""
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            declared = sum(_sizes(path, file))
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise CorruptBundle(f"{path.name} has broken weights.", file=path.name) from error
    if declared > _MOST_EXPANSION * max(len(data), 2**20):
        raise TooLarge(f"{path.name} declares {declared} bytes of weights and holds {len(data)}: it is refused.")


def _sizes(path: Path, file: Any) -> Iterator[int]:
    import h5py

    waiting = [file]
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise Unprocessable(f"{path.name} has weights that point elsewhere ({name!r}): save the model again.",
                                    field="source")  # fmt: skip
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif item.external or item.is_virtual:
                raise Unprocessable(f"{path.name} has weights in another file ({name!r}): save the model again.",
                                    field="source")  # fmt: skip
            else:
                yield item.size * item.dtype.itemsize
