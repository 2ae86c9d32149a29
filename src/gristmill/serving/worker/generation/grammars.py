"""Answers that must fit: a JSON schema or a grammar as the tokens that may come next, by llguidance."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gristmill.core.errors import Malformed
from gristmill.serving.worker.generation.endless import is_endless
from gristmill.tasks.language.tokenizer import TOKENIZER, LanguageTokenizer


class Grammars:
    """Of one model's vocabulary; the library is loaded with the first request that needs it."""

    def __init__(self, weights: Path, tokenizer: LanguageTokenizer, vocabulary: int) -> None:
        self._weights, self._ends, self._vocabulary = weights, sorted(tokenizer.ends), vocabulary

    def of_schema(self, schema: dict[str, Any]) -> TokenGrammar:
        """Raises Malformed when nothing fits the schema, or it is none."""
        from llguidance import LLMatcher

        what, field = "The JSON schema cannot be used", "response_format"
        try:
            endless = is_endless(schema)
        except RecursionError:
            raise Malformed(f"{what}: it is nested too deeply.", field=field) from None
        if endless:
            raise Malformed(f"{what}: what fits it would have to hold itself without end.", field=field)
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema or {"type": "object"}))
        return self._matching(grammar, field, what)

    def of_lark(self, grammar: str, field: str) -> TokenGrammar:
        from llguidance import LLMatcher

        return self._matching(LLMatcher.grammar_from_lark(grammar), field, "The tools' parameters cannot be used")

    def _matching(self, grammar: str, field: str, what: str) -> TokenGrammar:
        from llguidance import LLMatcher

        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise Malformed(f"{what}: {_sentence(matcher.get_error())}.", field=field)
        made = TokenGrammar(matcher, self._ends, self._vocabulary)
        if not made.allowed().any():
            raise Malformed(f"{what}: nothing fits it.", field=field)
        return made

    @cached_property
    def _tokenizer(self) -> Any:
        from llguidance import LLTokenizer

        return LLTokenizer(str(self._weights / TOKENIZER), n_vocab=self._vocabulary, eos_token=self._ends or None)


class TokenGrammar:
    """See frameworks/generation.Grammar."""

    def __init__(self, matcher: Any, ends: list[int], vocabulary: int) -> None:
        from llguidance.numpy import allocate_token_bitmask

        self._matcher, self._ends, self._vocabulary = matcher, ends, vocabulary
        self._bits = allocate_token_bitmask(1, vocabulary)

    def allowed(self) -> np.ndarray:
        from llguidance.numpy import fill_next_token_bitmask

        if self._matcher.is_stopped():
            only = np.zeros(self._vocabulary, bool)
            only[self._ends] = True
            return only
        fill_next_token_bitmask(self._matcher, self._bits, 0)
        bits: np.ndarray = np.unpackbits(self._bits[0].view(np.uint8), bitorder="little")
        return bits[: self._vocabulary].astype(bool)

    def accept(self, token: int) -> None:
        if token not in self._ends:
            self._matcher.consume_token(token)


def _sentence(message: str) -> str:
    """A parser's error is several lines: what it read, where, and last what is wrong."""
    first, *others = message.strip().splitlines() or ["it is not understood"]
    told = f"{first} {others[-1].removeprefix('error: ')}" if first.endswith(":") and others else first
    return told.partition(". ")[0].rstrip(".")[:300]  # advice to programmers follows
