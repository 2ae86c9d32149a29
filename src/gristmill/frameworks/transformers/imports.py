"""Taking in a Hugging Face model's folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from gristmill.core.errors import Unprocessable
from gristmill.core.types import TensorSpec
from gristmill.frameworks.importing import Imported, ImportJob
from gristmill.frameworks.transformers.causal_imports import is_causal, read_causal
from gristmill.frameworks.transformers.folder import (
    CONFIG,
    TOKENIZER,
    ModelFolder,
    is_multi_label,
    licence_of,
    read_folder,
    read_json,
)
from gristmill.frameworks.transformers.pooling import read_pooling
from gristmill.tasks.preprocessing import NormaliseImage, Preprocessing
from gristmill.tasks.subwords import Subwords
from gristmill.tasks.text_embedding import TextEmbedding

_PICTURES = "preprocessor_config.json"
_LONGEST = 512


class HuggingFaceImporter:
    """See frameworks/importing.Importer."""

    def recognises(self, source: Path) -> bool:
        return (source / CONFIG).is_file() and not any(source.glob("*.onnx"))

    def read(self, job: ImportJob) -> Imported:
        if is_causal(job.source):
            return read_causal(job)
        found = read_folder(job.source)
        pooling = read_pooling(job.source) if not found.head and job.told.task != "tensors" else None
        reader = _texts if pooling else _READERS[found.head]
        inputs, preprocessing, padding = reader(job.source, found)
        job.weights.mkdir(parents=True)
        for name in found.files:
            shutil.copyfile(job.source / name, job.weights / name)
        from gristmill.frameworks.transformers.runtime import load_model

        parameters = sum(parameter.numel() for parameter in load_model(job.weights).parameters())
        names = found.config.get("id2label") or {}
        return Imported(
            "transformers",
            "transformers",
            {"name": found.config["architectures"][0], "padding": padding}
            | ({"pooling": pooling._asdict()} if pooling else {}),
            inputs,
            () if found.head or pooling else (TensorSpec("last_hidden_state", "FP32", (-1, -1, -1)),),
            parameters,
            licence=licence_of(job.source / "README.md"),
            labels=tuple(str(names[place]) for place in sorted(names, key=int)) or None,
            task=TextEmbedding.name if pooling else _TASKS[found.head],
            preprocessing=preprocessing,
            scores="independent-logits" if is_multi_label(found.config) else "logits",
        )


Read = tuple[tuple[TensorSpec, ...], Preprocessing | None, int]


def _texts(folder: Path, found: ModelFolder) -> Read:
    if not (folder / TOKENIZER).is_file():
        raise Unprocessable(f"The folder has no {TOKENIZER}: a model of texts needs its tokenizer; save it beside the "
                            "weights with tokenizer.save_pretrained(FOLDER).", field="source")  # fmt: skip
    tokenizer = read_json(folder, TOKENIZER)
    padding = int(found.config.get("pad_token_id") or 0)
    pooling = read_pooling(folder) if not found.head else None
    longest = min(_LONGEST, int(found.config.get("max_position_embeddings") or _LONGEST) - padding)
    longest = min(longest, pooling.longest) if pooling is not None and pooling.longest else longest
    step = Subwords((folder / TOKENIZER).read_text(), longest, padding, _unknown(tokenizer, padding))
    return (TensorSpec("tokens", "INT64", (-1, -1)),), Preprocessing(step), padding


def _unknown(tokenizer: dict[str, Any], padding: int) -> int:
    """Its id; padding where the vocabulary covers every byte and needs none."""
    model = tokenizer.get("model") or {}
    vocabulary, unknown = model.get("vocab"), model.get("unk_token")
    return int(vocabulary[unknown]) if isinstance(vocabulary, dict) and unknown in vocabulary else padding


def _pictures(folder: Path, found: ModelFolder) -> Read:
    told = read_json(folder, _PICTURES)
    size = told.get("crop_size") or told.get("size") or {}
    side = size if isinstance(size, int) else size.get("shortest_edge") or 0
    height, width = (side, side) if isinstance(size, int) or side else (size.get("height", 0), size.get("width", 0))
    channels = int(found.config.get("num_channels", 3))
    if min(height, width) < 1:
        raise Unprocessable(f"{_PICTURES} does not say the pictures' size.", field="size")
    mean, std = (tuple(map(float, told.get(name) or [0.5] * channels)) for name in ("image_mean", "image_std"))
    spec = TensorSpec("image", "FP32", (-1, channels, int(height), int(width)))
    return (spec,), Preprocessing(NormaliseImage(mean, std)), 0


def _ids(folder: Path, found: ModelFolder) -> Read:
    """An encoder takes its ids as they are: what is made of its states is its caller's."""
    return tuple(TensorSpec(name, "INT64", (-1, -1)) for name in ("input_ids", "attention_mask")), None, 0


_READERS = {"ForSequenceClassification": _texts, "ForImageClassification": _pictures, "": _ids}
_TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForImageClassification": "image-classification",
    "": None,
}
