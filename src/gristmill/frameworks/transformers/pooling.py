"""What a sentence-transformers folder says of the one vector that stands for a text. Imports no framework."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from gristmill.core.errors import CorruptBundle, Unprocessable

MODULES = "modules.json"
_MODES = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max"}


class Pooling(NamedTuple):
    mode: str  # mean, cls, max
    normalise: bool
    longest: int | None  # tokens that the encoder was trained to read


def read_pooling(folder: Path) -> Pooling | None:
    """None where the folder is no sentence-transformers model. Raises Unprocessable for what is not computed here."""
    if not (folder / MODULES).is_file():
        return None
    try:
        listed = json.loads((folder / MODULES).read_text())
        paths = {module["type"].rpartition(".")[2]: module["path"] for module in listed}
        told = json.loads((folder / _inside(paths.get("Pooling")) / "config.json").read_text())
        limits = folder / "sentence_bert_config.json"
        longest = json.loads(limits.read_text()).get("max_seq_length") if limits.is_file() else None
    except (OSError, RecursionError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptBundle(f"{MODULES} of the folder, or what it names, is not readable.", file=MODULES) from error
    modules = list(paths)
    strange = [name for name in modules if name not in ("Transformer", "Pooling", "Normalize")]
    modes = [mode for name, mode in _MODES.items() if told.get(name)]
    if strange or len(modes) != 1 or modules[:2] != ["Transformer", "Pooling"]:
        what = strange[0] if strange else "another pooling than mean, cls or max"
        raise Unprocessable(f"The folder's {MODULES} asks for {what}, which is not computed here.", field="source")
    return Pooling(modes[0], "Normalize" in modules, longest if isinstance(longest, int) else None)


def _inside(path: Any) -> str:
    if not isinstance(path, str) or "/" in path or path in ("", "..", "."):
        raise ValueError("a path out of the folder")
    return path
