"""A language model as a runtime, whatever its engine: what a replay compares, and the engine for who generates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gristmill.bundles.manifest import Manifest
from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.core.generation import Sampling
from gristmill.core.types import Resources
from gristmill.frameworks.generation import Generator, Job
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
            return self._likeliest([prompt.decode("utf-8", "replace") for prompt in inputs[PROMPT]])
        documents = self._texts(inputs) if TEXT in inputs else self._chats(inputs)
        scored = np.asarray([self._scored(document) for document in documents], np.float64).reshape(-1, 2)
        return {NLL: scored[:, 0], TOKENS: scored[:, 1]}

    def _likeliest(self, prompts: list[str]) -> np.ndarray:
        for row, prompt in enumerate(prompts):
            tokens = self.tokenizer.encode(prompt) or [0]
            self.generator.submit(
                Job(row, tokens, 1, Sampling(temperature=0), frozenset(), LIKELIEST_COUNT, adapter=self._adapter)
            )
        likeliest = np.zeros((len(prompts), LIKELIEST_COUNT), np.float32)
        while self.generator.busy:
            for emission in self.generator.step():
                likeliest[emission.id] = [logprob for _, logprob in emission.top]
        return likeliest

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
