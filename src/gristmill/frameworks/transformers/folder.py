"""A Hugging Face model's folder read as data: what it is, and what would run code of its author refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from gristmill.core.errors import CorruptBundle, Unprocessable

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LONGEST_CONTEXT = 2**24  # tokens; the longest that a model has claimed by 2026 is ten million
# Layers are built, without weights, before the file's tensors are held against them: 10⁹ take for ever.
_MOST = dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers"), 4096)
_MOST |= dict.fromkeys(("vocab_size", "hidden_size", "pad_token_id"), 2**31)
_MOST |= dict.fromkeys(("max_position_embeddings", "n_positions"), LONGEST_CONTEXT)
_LEAST = {"pad_token_id": -1, "max_position_embeddings": 1, "n_positions": 1}  # 0 of all others
_ATTENTION = ("attn_implementation", "_attn_implementation")
_PICKLED = ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack")


class ModelFolder(NamedTuple):
    config: dict[str, Any]
    head: str  # of transformers' classes: ForSequenceClassification, ForImageClassification, or "" for the bare encoder
    files: tuple[str, ...]  # what a runtime needs


def read_folder(folder: Path) -> ModelFolder:
    """Raises Unprocessable (code, pickles, another kind of model), CorruptBundle."""
    config = read_config(folder)
    return ModelFolder(config, _head(config), (CONFIG, *weight_files(folder)))


def read_config(folder: Path) -> dict[str, Any]:
    """Raises Unprocessable where it would run code of its author, CorruptBundle."""
    config = read_json(folder, CONFIG)
    for field in ("auto_map", "quantization_config"):
        if field in config:
            raise Unprocessable(
                f"{CONFIG} has {field!r}, which runs code that is not Transformers' own: save the model with one of "
                "its own classes and in full precision.", field=field,
            )  # fmt: skip
    for part in (config, config.get("text_config")):
        if isinstance(part, dict):
            _check_values(part)
    return config


def _check_values(config: dict[str, Any]) -> None:
    for field, most in _MOST.items():
        value, least = config.get(field), _LEAST.get(field, 0)
        if value is not None and (type(value) is not int or not least <= value <= most):
            raise CorruptBundle(f"{CONFIG} says {str(value)[:40]!r} for {field!r}, where a whole number from {least} "
                                f"to {most} belongs.", file=CONFIG)  # fmt: skip
    for field in _ATTENTION:  # `org/name` is a kernel that Transformers takes from the hub: native code
        if not str(config.get(field) or "eager").isidentifier():
            raise Unprocessable(f"{CONFIG} names code from elsewhere in {field!r}: leave it out.", field=field)


def class_name(config: dict[str, Any]) -> str:
    """Of Transformers' classes; "" where the config names none."""
    (name, *_) = config.get("architectures") or [""]
    return str(name)


def is_multi_label(config: dict[str, Any]) -> bool:
    """A row may have several labels: each logit is a label's own."""
    return config.get("problem_type") == "multi_label_classification"


def licence_of(card: Path) -> str | None:
    """Of a model card's front matter, where there is one."""
    text = card.read_text(errors="replace") if card.is_file() else ""
    match = re.match(r"---\n(?:(?!---).*\n)*?license:\s*([\w.-]+)", text)
    return match[1] if match else None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = dict(json.loads((folder / name).read_text()))
    except (OSError, UnicodeDecodeError, ValueError, TypeError, RecursionError) as error:
        raise CorruptBundle(f"{name} of the folder is missing or not readable JSON.", file=name) from error
    return found


def _head(config: dict[str, Any]) -> str:
    name = class_name(config)
    for head in ("ForSequenceClassification", "ForImageClassification"):
        if name.endswith(head):
            return head
    if name.endswith("Model"):
        return ""
    raise Unprocessable(
        f"A model of the class {name!r} is not served: encoders (…Model), …ForSequenceClassification, "
        "…ForImageClassification and …ForCausalLM are.", field="architectures",
    )  # fmt: skip


def weight_files(folder: Path) -> tuple[str, ...]:
    """The safetensors of the folder. Raises Unprocessable where there are none, or pickles."""
    if (folder / WEIGHTS).is_file():
        return (WEIGHTS,)
    if (folder / INDEX).is_file():
        shards = set(read_json(folder, INDEX).get("weight_map", {}).values())
        if all("/" not in shard and (folder / shard).is_file() for shard in shards):
            return (INDEX, *sorted(shards))
    pickled = next((name for name in _PICKLED if (folder / name).is_file()), None)
    if pickled:
        raise Unprocessable(
            f"The folder's weights are {pickled}, a format that runs code when it is loaded: `gristmill models convert "
            f"{pickled} --to {WEIGHTS}` makes safe ones, if you trust it.", field="source",
        )  # fmt: skip
    raise Unprocessable(f"The folder has no {WEIGHTS}: download it whole.", field="source")
