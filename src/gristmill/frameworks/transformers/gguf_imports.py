"""Taking in a language model's `.gguf` file: the file as it is, its tokenizer and chat template as files beside it."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

from gristmill.core.errors import Unprocessable
from gristmill.core.generation import LanguageFacts
from gristmill.core.types import TensorSpec
from gristmill.frameworks.gguf import GGUF, GgufHeader, is_gguf, read_header
from gristmill.frameworks.importing import Imported, ImportJob
from gristmill.frameworks.transformers.folder import CONFIG, LONGEST_CONTEXT
from gristmill.tasks.language.chat_template import CHAT_TEMPLATE, ChatTemplate
from gristmill.tasks.language.tokenizer import GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG, LanguageTokenizer
from gristmill.tasks.preprocessing import PassThrough, Preprocessing
from gristmill.tasks.text_generation import PROMPT, TextGeneration

_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")
_NAMES = {"bos_token": "bos_token_id", "eos_token": "eos_token_id", "pad_token": "padding_token_id",
          "unk_token": "unknown_token_id"}  # fmt: skip


class GgufImporter:
    """See frameworks/importing.Importer. llama.cpp serves it where it is installed, else Transformers, dequantised."""

    def recognises(self, source: Path) -> bool:
        return _file(source) is not None

    def read(self, job: ImportJob) -> Imported:
        source = _file(job.source)
        assert source is not None
        header = read_header(source)
        tokens = header.metadata.get("tokenizer.ggml.tokens")
        length = header.metadata.get(f"{header.architecture}.context_length")
        if not isinstance(tokens, list) or not isinstance(length, int):
            raise Unprocessable("The GGUF file holds no language model: its tokenizer or context length is missing.",
                                field="source")  # fmt: skip
        if not 1 <= length <= LONGEST_CONTEXT:
            raise Unprocessable(f"The GGUF file says a context of {length} tokens, where a number from 1 to "
                                f"{LONGEST_CONTEXT} belongs.", field="source")  # fmt: skip
        job.weights.mkdir(parents=True)
        shutil.copyfile(source, job.weights / GGUF)
        _write_tokenizer(header, tokens, job.weights)
        return Imported(
            "transformers",
            "llama-cpp" if importlib.util.find_spec("llama_cpp") else "transformers",
            {"name": header.architecture},
            (TensorSpec(PROMPT, "BYTES", (-1,)),),
            (),
            header.parameters,
            licence=str(header.metadata.get("general.license") or "") or None,
            task=TextGeneration.name,
            preprocessing=Preprocessing(PassThrough()),
            language=_facts(job.weights, length, len(tokens)),
        )


def _file(source: Path) -> Path | None:
    """The file itself, or the only one of a folder that has nothing else to be opened by."""
    if source.is_dir() and not (source / CONFIG).exists():
        (source, *more) = [*source.glob("*.gguf")] or [source]
        if more:
            return None
    return source if is_gguf(source) else None


def _write_tokenizer(header: GgufHeader, tokens: list[str], weights: Path) -> None:
    """As `tokenizer.json` and its companions. Raises Unprocessable when Transformers cannot convert it."""
    from transformers import AutoTokenizer

    told = {key.removeprefix("tokenizer."): value for key, value in header.metadata.items() if "tokenizer." in key}
    try:
        converted: Any = AutoTokenizer.from_pretrained(weights, gguf_file=GGUF, local_files_only=True)
        document = json.loads(converted.backend_tokenizer.to_str())
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError) as error:
        raise Unprocessable(
            f"The tokenizer of this GGUF file ({told.get('ggml.model')!r}, {told.get('ggml.pre')!r}) cannot be "
            "converted: import the model's Hugging Face folder.", field="source",
        ) from error  # fmt: skip
    # Transformers' class adds special tokens of its own that the file does not have.
    document["added_tokens"] = [token for token in document["added_tokens"] if token["id"] < len(tokens)]
    _write(weights / TOKENIZER, document)
    known = {name: _token(tokens, told.get(f"ggml.{key}")) for name, key in _NAMES.items()}
    _write(weights / TOKENIZER_CONFIG, {name: token for name, token in known.items() if token is not None})
    ends = [told[f"ggml.{key}"] for key in _ENDS if _token(tokens, told.get(f"ggml.{key}")) is not None]
    _write(weights / GENERATION_CONFIG, {"eos_token_id": sorted(set(ends))})
    if template := told.get("chat_template"):
        ChatTemplate(str(template))
        (weights / CHAT_TEMPLATE).write_text(str(template))


def _token(tokens: list[str], place: Any) -> str | None:
    return tokens[place] if isinstance(place, int) and 0 <= place < len(tokens) else None


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False))


def _facts(weights: Path, length: int, vocabulary: int) -> LanguageFacts:
    tokenizer = LanguageTokenizer.open(weights)
    if tokenizer.size > vocabulary:
        raise Unprocessable(f"The tokenizer knows {tokenizer.size} tokens and the model {vocabulary}: they do not "
                            "belong together.", field=TOKENIZER)  # fmt: skip
    template = ChatTemplate.open(weights, tokenizer.beginning, tokenizer.end)
    return LanguageFacts(length, vocabulary, template is not None, template is not None and template.takes_tools())
