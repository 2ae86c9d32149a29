"""Taking in a language model's Hugging Face folder: weights, tokenizer, and its chat template as a file of its own."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.generation import LanguageFacts
from gristmill.core.types import TensorSpec
from gristmill.frameworks.importing import Imported, ImportJob
from gristmill.frameworks.transformers.folder import (
    CONFIG,
    class_name,
    licence_of,
    read_config,
    read_json,
    weight_files,
)
from gristmill.tasks.language.chat_template import CHAT_TEMPLATE, ChatTemplate
from gristmill.tasks.language.tokenizer import GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG, LanguageTokenizer
from gristmill.tasks.preprocessing import PassThrough, Preprocessing
from gristmill.tasks.text_generation import PROMPT, TextGeneration

_LONGEST = 1 << 20


def is_causal(folder: Path) -> bool:
    return class_name(read_json(folder, CONFIG)).endswith("ForCausalLM")


def read_causal(job: ImportJob) -> Imported:
    """Raises Unprocessable, CorruptBundle."""
    config = read_config(job.source)
    files = (CONFIG, *weight_files(job.source), *_text_files(job.source))
    job.weights.mkdir(parents=True)
    for name in files:
        shutil.copyfile(job.source / name, job.weights / name)
    write_template(job.source, job.weights)
    licence = licence_of(job.source / "README.md")
    return describe(job.weights, config, "transformers", count_parameters(job.weights), licence)


def _text_files(folder: Path) -> list[str]:
    if not (folder / TOKENIZER).is_file():
        raise Unprocessable(f"The folder has no {TOKENIZER}: a language model needs its tokenizer; save it beside the "
                            "weights with tokenizer.save_pretrained(FOLDER).", field="source")  # fmt: skip
    return [name for name in (TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG) if (folder / name).is_file()]


def write_template(source: Path, weights: Path) -> None:
    """The chat template, which older folders keep in the tokenizer's config. Raises Unprocessable when it is none."""
    if (source / CHAT_TEMPLATE).is_file():
        template = (source / CHAT_TEMPLATE).read_text(errors="replace")
    else:
        told = read_json(source, TOKENIZER_CONFIG) if (source / TOKENIZER_CONFIG).is_file() else {}
        template = told.get("chat_template") or ""
        if isinstance(template, list):  # several by name
            template = next((one["template"] for one in template if one.get("name") == "default"), "")
    if template:
        ChatTemplate(str(template))
        (weights / CHAT_TEMPLATE).write_text(str(template))


def describe(
    weights: Path, config: dict[str, Any], runtime: str, parameters: int, licence: str | None = None
) -> Imported:
    """What a language model in `weights` says of itself."""
    return Imported(
        "transformers",
        runtime,
        {"name": class_name(config)},
        (TensorSpec(PROMPT, "BYTES", (-1,)),),
        (),
        parameters,
        licence=licence,
        task=TextGeneration.name,
        preprocessing=Preprocessing(PassThrough()),
        language=facts(weights, config),
    )


def facts(weights: Path, config: dict[str, Any]) -> LanguageFacts:
    text = config.get("text_config") or config
    tokenizer = LanguageTokenizer.open(weights)
    template = ChatTemplate.open(weights, tokenizer.beginning, tokenizer.end)
    length = int(text.get("max_position_embeddings") or text.get("n_positions") or _LONGEST)
    vocabulary = int(text.get("vocab_size") or tokenizer.size)
    if tokenizer.size > vocabulary:
        raise Unprocessable(f"The tokenizer knows {tokenizer.size} tokens and the model {vocabulary}: they do not "
                            "belong together.", field=TOKENIZER)  # fmt: skip
    return LanguageFacts(length, vocabulary, template is not None, template is not None and template.takes_tools())


def count_parameters(weights: Path) -> int:
    """Of the safetensors' headers. Raises CorruptBundle when one lies about its sizes."""
    total = 0
    try:
        for path in sorted(weights.glob("*.safetensors")):
            file: Any = safe_open(path, framework="np")
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.offset_keys())
    except (OSError, SafetensorError) as error:
        raise CorruptBundle(
            "A file of weights is no safetensors file, or cut short.", file="model.safetensors"
        ) from error
    return total
