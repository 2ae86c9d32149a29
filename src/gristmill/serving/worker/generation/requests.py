"""A request under way: its sequences in the engine, what they have given, what is still to be computed for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gristmill.core.generation import Delta, TokenUsage
from gristmill.frameworks.generation import Emission, Job
from gristmill.serving.worker.generation.choice import Choice


class Request(Protocol):
    """What generating.Generation drives: it submits `jobs`, hands over what they emit, and ends when none is left."""

    def jobs(self) -> Iterable[Job]:
        """Those to submit now: at first, and after each emission."""
        ...

    @property
    def under_way(self) -> Iterable[int]:
        """Ids of jobs that were submitted and have more to give."""
        ...

    def add(self, emission: Emission) -> Delta | None:
        """Of a job under way; None while there is nothing to tell. Raises what ends the request."""
        ...

    @property
    def working(self) -> bool:
        """Whether `work` has something to compute beside the engine."""
        ...

    def work(self) -> Delta | None:
        """A little of it. Raises what ends the request."""
        ...

    @property
    def ended(self) -> bool:
        """Nothing is under way, and nothing comes."""
        ...

    def usage(self) -> TokenUsage: ...


class TextRequest:
    """Text for a client: one job a choice."""

    working = False

    def __init__(self, choices: list[tuple[Job, Choice]], prompt_tokens: int) -> None:
        self._new = [job for job, _ in choices]
        self._choices = {job.id: choice for job, choice in choices}  # those under way
        self._ended: list[Choice] = []
        self._prompt_tokens, self._cached = prompt_tokens, 0

    def jobs(self) -> Iterable[Job]:
        new, self._new = self._new, []
        return new

    @property
    def under_way(self) -> Iterable[int]:
        return self._choices.keys()

    def add(self, emission: Emission) -> Delta | None:
        choice = self._choices[emission.id]
        self._cached = self._cached or emission.cached
        delta = choice.add(emission)
        if choice.finish is not None:
            self._ended.append(self._choices.pop(emission.id))
        return delta

    def work(self) -> Delta | None:
        return None

    @property
    def ended(self) -> bool:
        return not self._choices

    def usage(self) -> TokenUsage:
        choices = [*self._choices.values(), *self._ended]
        completion = sum(max(0, choice.tokens) for choice in choices)
        reasoning = sum(choice.reasoning_tokens for choice in choices)
        return TokenUsage(self._prompt_tokens, self._cached, completion, reasoning)
