"""A tokenizer learned from the training texts, written as the files that a language model's bundle holds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gristmill.core.errors import Unprocessable
from gristmill.tasks.language.chat_template import CHAT_TEMPLATE
from gristmill.tasks.language.tokenizer import GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG

KINDS = ("bpe", "characters")
END, UNKNOWN, BEGIN_MESSAGE, END_MESSAGE = "<|endoftext|>", "<|unknown|>", "<|im_start|>", "<|im_end|>"
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def fit_tokenizer(texts: Iterable[str], kind: str, vocabulary: int, folder: Path, *, chat: bool) -> None:
    """Byte-level BPE of at most `vocabulary` tokens (Radford et al. 2019), or one token a character.

    With `chat` answers end with their message's mark, and ChatML is the template. Raises Unprocessable.
    """
    if kind not in KINDS:
        raise Unprocessable(f"The recipe's preprocessing.tokenizer is {kind!r}: known are {', '.join(KINDS)}.",
                            field="preprocessing.tokenizer", got=kind)  # fmt: skip
    special = [END, UNKNOWN, *((BEGIN_MESSAGE, END_MESSAGE) if chat else ())]
    tokenizer = _bpe(texts, vocabulary, special) if kind == "bpe" else _characters(texts, special)
    end = END_MESSAGE if chat else END
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / TOKENIZER))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end, "unk_token": UNKNOWN}
    (folder / TOKENIZER_CONFIG).write_text(json.dumps(told, indent=2))
    (folder / GENERATION_CONFIG).write_text(json.dumps({"eos_token_id": tokenizer.token_to_id(end)}))
    if chat:
        (folder / CHAT_TEMPLATE).write_text(CHATML)


def _bpe(texts: Iterable[str], vocabulary: int, special: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    least = len(alphabet) + len(special)
    if vocabulary < least:
        raise Unprocessable(
            f"The recipe's preprocessing.vocabulary is {vocabulary}: bytes and marks alone take {least}.",
            field="preprocessing.vocabulary", got=vocabulary,
        )  # fmt: skip
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _characters(texts: Iterable[str], special: list[str]) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    found = sorted({character for text in texts for character in text})
    vocabulary = {name: place for place, name in enumerate([*special, *found])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    return tokenizer
