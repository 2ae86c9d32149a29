"""A language model as a runtime, whatever its engine: what a replay compares, and the engine for who generates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gristmill.bundles.manifest import Manifest
from gristmill.core import plugins
from gristmill.core.generation import Sampling
from gristmill.core.types import Resources
from gristmill.frameworks.generation import Generator, Job
from gristmill.tasks.language.tokenizer import LanguageTokenizer
from gristmill.tasks.protocol import ModelOutput, Tensors
from gristmill.tasks.text_generation import LIKELIEST_COUNT, PROMPT

WEIGHTS = "weights"


class LanguageRuntime:
    """See frameworks/protocol.Runtime; registered under each engine's name."""

    def __init__(self, generator: Generator, tokenizer: LanguageTokenizer) -> None:
        self.generator, self.tokenizer = generator, tokenizer

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> LanguageRuntime:
        tokenizer = LanguageTokenizer.open(bundle / WEIGHTS)
        kind: type[Generator] = plugins.load("generators", manifest.runtime)
        return cls(kind.load(bundle, manifest, resources), tokenizer)

    def infer(self, inputs: Tensors) -> ModelOutput:
        """`prompt` BYTES [N] → float32 [N, 5]: the largest log probabilities of the next token. Nothing else runs."""
        prompts = [prompt.decode("utf-8", "replace") for prompt in inputs[PROMPT]]
        for row, prompt in enumerate(prompts):
            tokens = self.tokenizer.encode(prompt) or [0]
            self.generator.submit(Job(row, tokens, 1, Sampling(temperature=0), frozenset(), logprobs=LIKELIEST_COUNT))
        likeliest = np.zeros((len(prompts), LIKELIEST_COUNT), np.float32)
        while self.generator.busy:
            for emission in self.generator.step():
                likeliest[emission.id] = [logprob for _, logprob in emission.top]
        return likeliest

    def close(self) -> None:
        self.generator.close()
