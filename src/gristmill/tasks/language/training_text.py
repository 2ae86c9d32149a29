"""A split's texts or chats as tokens to learn from: of a chat only the answers count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.tasks.language.chat_template import ChatTemplate
from gristmill.tasks.language.packing import Blocks, Document, pack
from gristmill.tasks.language.tokenizer import LanguageTokenizer
from gristmill.tasks.protocol import Tensors

TEXT, MESSAGES, DOCUMENT = "text", "messages", "document"


def texts_of(inputs: Tensors) -> Iterator[str]:
    """What a tokenizer is learned from."""
    if MESSAGES in inputs:
        yield from (message["content"] for chat in inputs[MESSAGES] for message in json.loads(chat))
    else:
        yield from map(str, inputs[TEXT])


def blocks_of(inputs: Tensors, folder: Path, length: int) -> Blocks:
    """Packed blocks of `length` tokens, by the tokenizer in `folder`. Raises Unprocessable."""
    tokenizer = LanguageTokenizer.open(folder)
    end = min(tokenizer.ends, default=0)
    if MESSAGES not in inputs:
        return pack(_texts(inputs, tokenizer), length, end)
    template = ChatTemplate.open(folder, tokenizer.beginning, tokenizer.end)
    if template is None:
        raise Unprocessable("The base has no chat template: train it on plain text.", field="base")
    return pack((chat_document(json.loads(chat), template, tokenizer) for chat in inputs[MESSAGES]), length, end)


def _texts(inputs: Tensors, tokenizer: LanguageTokenizer) -> Iterator[Document]:
    """The passages of one document in their order are one text again."""
    numbers = inputs.get(DOCUMENT, np.arange(len(inputs[TEXT])))
    for number in np.unique(numbers):
        tokens = np.asarray(tokenizer.encode("".join(inputs[TEXT][numbers == number]), rendered=True), np.int64)
        if len(tokens):
            yield Document(tokens, np.ones(len(tokens), bool))


def chat_document(messages: list[dict[str, Any]], template: ChatTemplate, tokenizer: LanguageTokenizer) -> Document:
    """The answers and what ends each of them count; questions and the template's own words do not."""
    text = template.render(messages, answer=False)
    answers = []
    for place, message in enumerate(messages):
        if message["role"] == "assistant":
            asked = template.render(messages[:place], answer=True) if place else ""
            said = template.render(messages[: place + 1], answer=False)
            start = len(asked) if said.startswith(asked) else said.rfind(message["content"])
            answers.append((start, len(said.rstrip())))
    offsets = tokenizer.offsets(text)
    counted = [any(start < stop and end > begin for begin, stop in answers) for start, end in offsets]
    return Document(np.asarray(tokenizer.encode(text, rendered=True), np.int64), np.asarray(counted, bool))
