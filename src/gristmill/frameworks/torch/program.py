"""A `.pt2` file read as data before PyTorch opens it: torch.export.load evaluates strings and pickles of the file.

What it would run (torch 2.13, torch/_export/serde and torch/export/pt2_archive): `expr_str` through sympy's eval,
`guards_code` through exec, any function named as a node's `target`, pickled weights and constants, compiled libraries.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gristmill.bundles.archives import check_zip
from gristmill.core.errors import CorruptBundle, Unprocessable

_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims)\.\w+(\.\w+)?"
    r"|torch\.ops\.higher_order\.(cond|scan|map_impl|while_loop|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)"
    r"|torch\.(sym_(int|float|max|min|not|ite|sum)|_sym_sqrt)"
    r"|math\.(ceil|floor|trunc|sqrt)"
)
_FILES = re.compile(r"torch\.ops\.aten\.(from_file|save)\b")  # aten's own ways to the disk
_NAMES = frozenset(
    "Symbol Integer Float Add Mul Pow Max Min Mod PythonMod FloorDiv CeilDiv CleanDiv IntTrueDiv FloatTrueDiv "
    "TruncToInt FloorToInt CeilToInt RoundToInt ToFloat ModularIndexing Where Eq Ne Lt Le Gt Ge And Or Not true false "
    "L".split()
)
_NODES = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.BoolOp,
    ast.Compare, ast.Subscript, ast.Attribute, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
_SYMBOL = re.compile(r"[a-z]{1,4}\d+")


def check_program(path: Path) -> None:
    """Raises Unprocessable when opening it could run anything but tensor operations.

    Raises CorruptBundle, Malformed and TooLarge for what is damaged or made to be read in different ways.
    """
    names = check_zip(path)
    root = names[0].partition("/")[0] if names else ""
    if f"{root}/archive_format" not in names or f"{root}/models/model.json" not in names:
        raise Unprocessable(f"{path.name} is no program of torch.export.save, or one of an older format: "
                            "save it again with PyTorch 2.9 or newer.", field="source")  # fmt: skip
    for name in names:
        if not (name.startswith(f"{root}/") and re.fullmatch(_PARTS, name.removeprefix(f"{root}/"))):
            raise _refused(path, f"it carries {name!r}")
    try:
        with zipfile.ZipFile(path) as archive:
            for config in ("weights/model_weights_config.json", "constants/model_constants_config.json"):
                _check_payloads(path, json.loads(archive.read(f"{root}/data/{config}")))
            _check_sample(path, archive.read(f"{root}/data/sample_inputs/model.pt"))
            _check_model(path, json.loads(archive.read(f"{root}/models/model.json")))
    except (zipfile.BadZipFile, zlib.error, RuntimeError, KeyError, ValueError, AttributeError) as error:
        raise CorruptBundle(f"{path.name} is damaged: its parts cannot be read.", file=path.name) from error


_PARTS = (
    r"archive_format|archive_version|byteorder|version|\.data/(version|serialization_id)|\.format_version"
    r"|\.storage_alignment|models/model\.json|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)|data/sample_inputs/model\.pt|extra/.*"
)


def _check_payloads(path: Path, config: Any) -> None:
    for name, payload in config["config"].items():
        if payload.get("use_pickle"):
            raise _refused(path, f"its tensor {name!r} is a pickle")


def _check_sample(path: Path, data: bytes) -> None:
    try:
        torch.load(io.BytesIO(data), weights_only=True)
    except Exception as error:  # any reason is one: torch.export.load would go on to unpickle it all
        raise _refused(path, "its sample inputs hold more than tensors") from error


def _check_model(path: Path, model: Any) -> None:
    for key, value in _strings(model):
        if key in ("target", "as_operator") and (not _OPERATORS.fullmatch(value) or _FILES.match(value)):
            raise _refused(path, f"it calls {value[:80]!r}")
        if key in ("expr_str", "guards_code") and not is_arithmetic(value):
            raise _refused(path, f"a size in it is the code {value[:80]!r}")
    for symbol in model.get("range_constraints", {}):
        if not _SYMBOL.fullmatch(symbol):
            raise _refused(path, f"a size in it is named {symbol[:80]!r}")


def is_arithmetic(code: str) -> bool:
    """Only numbers, symbols of sizes, operators, and sympy's functions of them."""
    try:
        tree = ast.parse(code, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(isinstance(node, _NODES) and _is_plain(node) for node in ast.walk(tree))


def _is_plain(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id in _NAMES or _SYMBOL.fullmatch(node.id) is not None
    if isinstance(node, ast.Attribute):
        return node.attr in ("size", "stride", "storage_offset")
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) or (isinstance(node.value, str) and node.value.isidentifier())
    return True


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every string with the key that it stands under, at any depth."""
    waiting: list[tuple[str, Any]] = [(key, value)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += ((key, item) for item in value)


def _refused(path: Path, why: str) -> Unprocessable:
    return Unprocessable(
        f"{path.name} could run code when it is opened: {why}; export the plain model again with torch.export.save.",
        field="source",
    )
