"""Texts → the ids of a pretrained model's own tokenizer (Hugging Face `tokenizer.json`), kept whole in the bundle."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from gristmill.core.errors import CorruptBundle

Tensors = dict[str, np.ndarray]


class Subwords(msgspec.Struct, frozen=True, tag="subwords"):
    """`text` BYTES [N] → `tokens` int64 [N, T], T the longest of the batch and at most `max_length`.

    `tokenizer`: the file's JSON. `padding`, `unknown`: ids in its vocabulary.
    """

    tokenizer: str
    max_length: int
    padding: int
    unknown: int

    def apply(self, raw: Tensors) -> Tensors:
        encoded = [encoding.ids for encoding in self._encoded(raw)]
        tokens = np.full((len(encoded), max(1, *map(len, encoded)) if encoded else 1), self.padding, np.int64)
        for row, ids in zip(tokens, encoded, strict=True):
            row[: len(ids)] = ids
        return {"tokens": tokens}

    def attribute_back(self, attributions: Tensors, raw: Tensors) -> tuple[np.ndarray, list[tuple[str, ...]] | None]:
        return attributions["tokens"], [tuple(encoding.tokens) for encoding in self._encoded(raw)]

    def baseline(self, raw: Tensors) -> Tensors:
        """Padding throughout."""
        return {"tokens": np.full_like(self.apply(raw)["tokens"], self.padding)}

    def _encoded(self, raw: Tensors) -> list[Any]:
        texts = [item.decode("utf-8", "replace") for item in raw["text"].reshape(-1)]
        found: list[Any] = _tokenizer(self.tokenizer, self.max_length).encode_batch(texts)
        return found


@lru_cache(maxsize=4)  # a step serves every batch of a worker's life
def _tokenizer(text: str, max_length: int) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing more special
        raise CorruptBundle("The tokenizer.json is not a tokenizer that can be opened here.",
                            file="tokenizer.json") from error  # fmt: skip
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer
