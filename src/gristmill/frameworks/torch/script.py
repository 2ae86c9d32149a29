"""TorchScript read as data before PyTorch opens it: its interpreter has ways to the disk and to other machines.

Of the 2,100 operators of torch 2.13 `aten::from_file` maps a file for writing, `aten::save` writes one, `prim::rpc_*`
and the namespaces of collectives call other processes. `__setstate__` runs while a file is opened, so its text is read.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gristmill.core.errors import CorruptBundle, Unprocessable

_BEYOND = re.compile(
    r"\b(?:from_file|rpc_(?:async|sync|remote)|_?c10d\w*|symm_mem|_dtensor|debugprims|_test)\b|(?<=[.\"'\s])save(?=\W)"
)
_KINDS = re.compile(
    r"aten::(from_file|save)|prim::(rpc_\w+|PythonOp)|(_?c10d\w*|symm_mem|_dtensor|debugprims|_test)::.*"
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3}))")
_JOINT = re.compile(r"[\"']\s*(?:#[^\n]*\n\s*)*[\"']")  # of literals side by side, which are one


def check_code(path: Path) -> None:
    """Raises Unprocessable naming what its code reaches for, CorruptBundle."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".py"):
                    _check_text(path, archive.read(name).decode())
    except (zipfile.BadZipFile, zlib.error, RuntimeError, UnicodeDecodeError) as error:
        raise CorruptBundle(f"{path.name} is damaged: its code cannot be read.", file=path.name) from error


def _check_text(path: Path, text: str) -> None:
    """A name may be written as a string too, `getattr(torch, "from" "\\x5ffile")`: as it stands and as it is read."""
    read = _JOINT.sub("", _ESCAPE.sub(lambda found: chr(int(found[1], 16) if found[1] else int(found[2], 8)), text))
    found = _BEYOND.search(text) or _BEYOND.search(read)
    if found:
        raise _refused(path, found[0])


def check_graph(path: Path, module: Any) -> None:
    """What it will compute when it is called. Raises Unprocessable."""
    for kind in _kinds(module.inlined_graph):
        if _KINDS.fullmatch(kind):
            raise _refused(path, kind)


def _kinds(graph: Any) -> Iterator[str]:
    waiting = [graph]
    while waiting:
        for node in waiting.pop().nodes():
            yield node.kind()
            waiting += node.blocks()


def _refused(path: Path, name: str) -> Unprocessable:
    return Unprocessable(f"{path.name} calls {name!r}, which reaches files or other machines: script the model without "
                         "it.", field=name)  # fmt: skip
