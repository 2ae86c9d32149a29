"""What an engine of language models brings: sequences in, a token or more for each of them a step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from gristmill.bundles.manifest import Manifest
from gristmill.core.generation import Sampling
from gristmill.core.types import Resources


class Grammar(Protocol):
    """What may come next in one sequence; made by the worker from a JSON schema."""

    def allowed(self) -> np.ndarray:
        """bool [vocabulary]: the tokens that may follow."""
        ...

    def accept(self, token: int) -> None: ...


class Job(NamedTuple):
    """One sequence to generate. `id` is the caller's own, unique among those under way."""

    id: int
    tokens: Sequence[int]  # the prompt, at least one
    max_tokens: int  # at least 1; prompt and answer fit the context
    sampling: Sampling  # its seed is set
    ends: frozenset[int]  # token ids that end the sequence; empty: it goes on to `max_tokens`
    logprobs: int | None = None  # as in GenerationRequest
    grammar: Grammar | None = None
    adapter: str | None = None
    drafts: bool = True  # whether tokens may be guessed ahead, which changes when they come and not which


Top = tuple[tuple[int, float], ...]  # (token, logprob), likeliest first


class Emission(NamedTuple):
    """One new token of one sequence."""

    id: int
    token: int
    finished: bool  # `token` is one of `ends`, or the last of `max_tokens`; the sequence is gone
    logprob: float | None = None  # natural; where the job asks for logprobs
    top: Top = ()
    cached: int = 0  # in a sequence's first emission: tokens of its prompt that were not computed again


class Generator(Protocol):
    """Registered in `gristmill.generators`: continuous batching behind three verbs. Called from one thread.

    A sequence may be submitted and cancelled between any two steps; each step advances all that are under way.
    """

    context_length: int

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> Generator:
        """Open a verified bundle: `weights/` holds a Hugging Face folder's files, or `model.gguf` with tokenizer files.

        Runs no code from it. Raises CorruptBundle, Unprocessable with one sentence.
        """
        ...

    def submit(self, job: Job) -> None:
        """Queue a sequence. Raises Unprocessable naming what this engine cannot do (adapter, grammar, a penalty)."""
        ...

    def cancel(self, id: int) -> None:
        """Free the sequence's place at once; an id that is not under way is ignored."""
        ...

    def step(self) -> list[Emission]:
        """Compute once: prompts that wait (in pieces where they are long), then one token for every sequence, or a few
        in their order."""
        ...

    @property
    def busy(self) -> bool:
        """Whether a step has anything to do."""
        ...

    def score(self, tokens: Sequence[int], adapter: str | None = None) -> np.ndarray:
        """Natural log probabilities float64 [n - 1] of the tokens after the first, each by those before it.

        Only while nothing is under way; at most `context_length` tokens. Raises Unprocessable where the engine cannot.
        """
        ...

    def load_adapter(self, name: str, folder: Path) -> None:
        """A LoRA adapter in PEFT's safetensors form. Raises Unprocessable where it does not fit the base."""
        ...

    def unload_adapter(self, name: str) -> None:
        """No job that is submitted from now on computes with it; those under way end with it."""
        ...

    def close(self) -> None: ...
