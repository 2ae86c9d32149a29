"""A language model's tokenizer, as its bundle holds it: text to token ids, and ids to text as they come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gristmill.core.errors import CorruptBundle

TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG = "tokenizer.json", "tokenizer_config.json", "generation_config.json"
_UNREADABLE = "\ufffd"


class LanguageTokenizer:
    """Over Hugging Face's `tokenizers`. `ends`: ids that end an answer; `beginning` and `end` are texts of tokens."""

    def __init__(self, tokenizer: Any, told: dict[str, Any], ends: Sequence[int | None] = ()) -> None:
        self._tokenizer = tokenizer
        self.beginning, self.end = (_text(told.get(name)) for name in ("bos_token", "eos_token"))
        known = [tokenizer.token_to_id(self.end) if self.end else None, *ends]
        self.ends: frozenset[int] = frozenset(one for one in known if one is not None)
        self.size: int = tokenizer.get_vocab_size(with_added_tokens=True)

    @classmethod
    def open(cls, folder: Path) -> LanguageTokenizer:
        """Of a folder with `tokenizer.json`. Raises CorruptBundle."""
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # the library raises bare Exception
            raise CorruptBundle(f"{TOKENIZER} is missing or no tokenizer.", file=TOKENIZER) from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        ends = _read(folder / GENERATION_CONFIG).get("eos_token_id")
        return cls(tokenizer, _read(folder / TOKENIZER_CONFIG), ends if isinstance(ends, list) else [ends])

    def encode(self, text: str, *, rendered: bool = False) -> list[int]:
        """Ids of `text`; a `rendered` chat already has the tokens that the model wants around it."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=not rendered).ids
        return ids

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Of a rendered chat: [start, stop) of each token of it, in characters."""
        found: list[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """Without the special tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def stream(self) -> TokenStream:
        return TokenStream(self._tokenizer)

    def token(self, id: int) -> tuple[str, bytes]:
        """One token as text (with a replacement where it is part of a character) and its bytes."""
        text: str = self._tokenizer.decode([id], skip_special_tokens=False)
        if _UNREADABLE not in text:
            return text, text.encode()
        name = self._tokenizer.id_to_token(id) or ""
        if name.startswith("<0x") and name.endswith(">"):
            return text, bytes([int(name[3:-1], 16)])
        return text, bytes(_BYTES.get(character, 0x3F) for character in name)

    def json(self) -> str:
        """As `tokenizer.json`."""
        text: str = self._tokenizer.to_str()
        return text


class TokenStream:
    """Text of one sequence as its tokens come; a character whose bytes lie in two tokens comes with the second."""

    def __init__(self, tokenizer: Any) -> None:
        from tokenizers.decoders import DecodeStream

        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._held: list[int] = []

    def add(self, token: int) -> str:
        """The text that is whole now."""
        text: str = self._stream.step(self._tokenizer, token) or ""
        self._held = [] if text else [*self._held, token]
        return text

    def end(self) -> str:
        """What is held when no more comes: bytes of a broken character stand as a replacement."""
        held, self._held = self._held, []
        text: str = self._tokenizer.decode(held, skip_special_tokens=True)
        return text if _UNREADABLE in text else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text())) if path.is_file() else {}
    except (UnicodeDecodeError, ValueError, TypeError) as error:
        raise CorruptBundle(f"{path.name} is not readable JSON.", file=path.name) from error


def _text(token: Any) -> str:
    """A token is told as its text, or as an object with it."""
    return str(token.get("content") or "") if isinstance(token, dict) else str(token or "")


def _bytes() -> dict[str, int]:
    """GPT-2's alphabet of bytes, by its characters (Radford et al. 2019, `bytes_to_unicode`)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + place): byte for place, byte in enumerate(hidden)}


_BYTES = _bytes()
