"""A language model as a runtime, whatever its engine: what a replay compares, and the engine for who generates."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from gristmill.bundles.manifest import Manifest
from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.core.generation import Sampling
from gristmill.core.types import Resources
from gristmill.frameworks.generation import Generator, Job, Top
from gristmill.tasks.language.chat_template import ChatTemplate
from gristmill.tasks.language.packing import Document
from gristmill.tasks.language.tokenizer import LanguageTokenizer
from gristmill.tasks.language.training_text import MESSAGES, TEXT, chat_document
from gristmill.tasks.protocol import ModelOutput, Tensors
from gristmill.tasks.text_generation import LIKELIEST_COUNT, NLL, PROMPT, TOKENS

WEIGHTS = "weights"
_INFERRED = "inferred"  # name of the adapter that `infer` answers with


class LanguageRuntime:
    """See frameworks/protocol.Runtime; registered under each engine's name."""

    _adapter: str | None = None

    def __init__(self, generator: Generator, tokenizer: LanguageTokenizer, template: ChatTemplate | None) -> None:
        self.generator, self.tokenizer, self._template = generator, tokenizer, template

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> LanguageRuntime:
        tokenizer = LanguageTokenizer.open(bundle / WEIGHTS)
        template = ChatTemplate.open(bundle / WEIGHTS, tokenizer.beginning, tokenizer.end)
        kind: type[Generator] = plugins.load("generators", manifest.runtime)
        return cls(kind.load(bundle, manifest, resources), tokenizer, template)

    def adapt(self, weights: Path) -> None:
        """From now on `infer` answers with the adapter of this folder. Raises Unprocessable, CorruptBundle."""
        self.generator.load_adapter(_INFERRED, weights)
        self._adapter = _INFERRED

    def infer(self, inputs: Tensors) -> ModelOutput:
        """`prompt` BYTES [N] → float32 [N, 5]: the largest log probabilities of the next token. Nothing else runs.

        `text` or `messages` [N] → `nll`, `tokens` float64 [N]: the sum of log losses of what is scored, and its number.
        """
        if PROMPT in inputs:
            return self._likeliest(inputs[PROMPT])
        documents = self._texts(inputs) if TEXT in inputs else self._chats(inputs)
        scored = np.asarray([self._scored(document) for document in documents], np.float64).reshape(-1, 2)
        return {NLL: scored[:, 0], TOKENS: scored[:, 1]}

    def _likeliest(self, prompts: np.ndarray) -> np.ndarray:
        for job in likeliest_jobs(self.tokenizer, prompts, itertools.count(), self._adapter):
            self.generator.submit(job)
        given: dict[int, Top] = {}
        while self.generator.busy:
            given |= {emission.id: emission.top for emission in self.generator.step()}
        return likeliest_of(given[row] for row in range(len(prompts)))

    def _texts(self, inputs: Tensors) -> list[Document]:
        found = [np.asarray(self.tokenizer.encode(str(text), rendered=True), np.int64) for text in inputs[TEXT]]
        return [Document(tokens, np.ones(len(tokens), bool)) for tokens in found]

    def _chats(self, inputs: Tensors) -> list[Document]:
        if self._template is None:
            raise Unprocessable("The model has no chat template: evaluate it on plain text.", field="dataset")
        return [chat_document(json.loads(chat), self._template, self.tokenizer) for chat in inputs[MESSAGES]]

    def _scored(self, document: Document) -> tuple[float, float]:
        """Longer texts in windows of the context; a window's first token has nothing before it and is not scored."""
        nll, count, length = 0.0, 0, self.generator.context_length
        for start in range(0, len(document.tokens), length):
            tokens, counted = (part[start : start + length] for part in document)
            if len(tokens) > 1:
                nll -= float(self.generator.score(tokens.tolist(), self._adapter)[counted[1:]].sum())
                count += int(counted[1:].sum())
        return nll, count

    def close(self) -> None:
        self.generator.close()


def likeliest_jobs(
    tokenizer: LanguageTokenizer, prompts: Iterable[bytes], ids: Iterator[int], adapter: str | None
) -> Iterator[Job]:
    """For each prompt a job whose one emission tells the likeliest next tokens."""
    for prompt in prompts:
        tokens = tokenizer.encode(prompt.decode("utf-8", "replace")) or [0]
        yield Job(next(ids), tokens, 1, Sampling(temperature=0), frozenset(), LIKELIEST_COUNT, adapter=adapter)


def likeliest_of(tops: Iterable[Top]) -> np.ndarray:
    """float32 [N, 5]: log probabilities."""
    rows = [[logprob for _, logprob in top] for top in tops]
    return np.asarray(rows, np.float32).reshape(-1, LIKELIEST_COUNT)
