"""Sequences under way in an engine that computes logits, and what of one a new prompt need not compute again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gristmill.frameworks.generation import Emission, Job
from gristmill.frameworks.sampling import Drawn, Sampler


class OpenSequence:
    """One sequence: its tokens, how many of them are computed, and what draws the next."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.tokens = list(job.tokens)
        self.computed = 0
        self.cached = 0
        self.prompt = len(self.tokens)  # what is computed before anything is drawn; all so far when it starts again
        self.sampler = Sampler(job)

    @property
    def decoding(self) -> bool:
        return self.computed >= self.prompt

    @property
    def generated(self) -> int:
        return len(self.tokens) - len(self.job.tokens)

    @property
    def finished(self) -> bool:
        return self.generated > 0 and (self.tokens[-1] in self.job.ends or self.generated >= self.job.max_tokens)

    def begin_at(self, shared: int) -> None:
        """Its first `shared` tokens are computed already."""
        self.computed = shared
        self.cached = self.cached or shared

    def start_again(self) -> None:
        self.computed, self.prompt = 0, len(self.tokens)

    def take(self, drawn: Drawn) -> Emission:
        """Add the token that was drawn."""
        self.tokens.append(drawn.token)
        cached = self.cached if self.generated == 1 else 0
        return Emission(self.job.id, drawn.token, self.finished, drawn.logprob, drawn.top, cached)

    def take_all(self, logits: np.ndarray, guesses: Sequence[int]) -> list[Emission]:
        """A token from each row of float32 [1 + guesses, vocabulary], for as long as it is what was guessed there."""
        emitted: list[Emission] = []
        for row, guess in zip(logits, (*guesses, None), strict=True):
            emitted.append(self.take(self.sampler.draw(row)))
            if self.finished or self.tokens[-1] != guess:
                break
        return emitted


def common(held: Sequence[int], tokens: Sequence[int]) -> int:
    """Length of the common beginning."""
    for place, (one, other) in enumerate(zip(held, tokens, strict=False)):
        if one != other:
            return place
    return min(len(held), len(tokens))
