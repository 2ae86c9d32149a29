"""A request to explain text: its answer first, then how likely that answer is after prompts that lack something.

An engine needs nothing more than a grammar that allows only the next token of the answer; the sequences that are
forced so share its batches with everybody else's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.core.generation import Delta, Finish, GenerationRequest, Sampling, TokenUsage
from gristmill.explanation.generated_text import (
    GRADIENTS,
    METHODS,
    OCCLUSION,
    Along,
    GeneratedText,
    Scoring,
    explain_text,
)
from gristmill.frameworks.generation import Emission, Job
from gristmill.serving.worker.explaining import document, picture_of, target_of
from gristmill.serving.worker.generation.forced import Forced
from gristmill.serving.worker.generation.gradients import Gradients
from gristmill.tasks.language.tokenizer import LanguageTokenizer

_AT_A_TIME = 8  # sequences of one explanation, so that others' requests find room between them
_OWN = ("method", "target", "render", "answer")


def given_answer(asked: GenerationRequest, tokenizer: LanguageTokenizer) -> list[int] | None:
    """The tokens of the answer that the client wants explained; None: the model's own is."""
    answer = (asked.explanation or {}).get("answer")
    return None if answer is None else tokenizer.encode(str(answer), rendered=True)


class ExplainRequest:
    """See requests.Request. Its one delta is the explanation as JSON."""

    def __init__(
        self, number: int, asked: GenerationRequest, writing: Job, said: list[bool], tokenizer: LanguageTokenizer,
        vocabulary: int, ids: Iterator[int], gradients: Gradients,
    ) -> None:  # fmt: skip
        """`writing` writes the answer, unless `explain` is called before. Raises Unprocessable."""
        parameters = asked.explanation or {}
        self._method = _method(parameters.get("method") or OCCLUSION, gradients)
        self._picture, self._target = picture_of(parameters), target_of(parameters)
        self._options = {name: value for name, value in parameters.items() if name not in _OWN}
        self._number, self._writing, self._tokenizer = number, writing, tokenizer
        self._said, self._vocabulary, self._ids = said, vocabulary, ids
        self._answer: list[int] = []  # as far as it is written
        self._waiting: deque[tuple[int, list[int]]] = deque()  # prompts by their place in `_scores`
        self._scores: list[list[float]] = []
        self._places: dict[int, int] = {}  # of jobs under way
        self._scoring: Scoring | None = None
        self._gradients, self._work = gradients, _nothing()
        self.working = False
        self._written, self._cached = 0, 0

    def explain(self, answer: list[int]) -> None:
        """Begin with the prompts that lack something. Raises Unprocessable."""
        if not answer:
            raise Unprocessable("The answer has no tokens: there is nothing to explain.", field="answer")
        self._answer = answer
        tokenizer = self._tokenizer
        subject = GeneratedText(
            self._writing.tokens, self._said, answer, tokenizer.decode, lambda token: tokenizer.token(token)[0],
            min(tokenizer.ends, default=0),
        )  # fmt: skip
        self._scoring = explain_text(subject, self._method, self._target, self._options)
        self._ask(next(self._scoring))

    def jobs(self) -> Iterable[Job]:
        if self._scoring is None:
            if not self._places:
                self._places[self._writing.id] = 0
                yield self._writing
            return
        while self._waiting and len(self._places) < _AT_A_TIME:
            place, prompt = self._waiting.popleft()
            forced = Forced(self._answer, self._vocabulary)
            job = Job(next(self._ids), prompt, len(self._answer), Sampling(temperature=0, seed=0), frozenset(), 0,
                      forced, self._writing.adapter)  # fmt: skip
            self._places[job.id] = place
            yield job

    @property
    def under_way(self) -> Iterable[int]:
        return self._places.keys()

    def add(self, emission: Emission) -> Delta | None:
        if self._scoring is None:
            self._add_written(emission)
            return None
        assert emission.logprob is not None
        self._scores[self._places[emission.id]].append(emission.logprob)
        if emission.finished:
            del self._places[emission.id]
        if self._places or self._waiting:
            return None
        return self._advance([np.array(scores) for scores in self._scores])

    def _add_written(self, emission: Emission) -> None:
        self._written += 1
        self._cached = self._cached or emission.cached
        if emission.token not in self._writing.ends:
            self._answer.append(emission.token)
        if emission.finished:
            del self._places[emission.id]
            self.explain(self._answer)

    def work(self) -> Delta | None:
        found = next(self._work)
        if found is None:
            return None
        self.working = False
        return self._advance(found)

    @property
    def ended(self) -> bool:
        return not (self._places or self._waiting or self.working)

    def _ask(self, asked: list[list[int]] | Along) -> None:
        if isinstance(asked, Along):
            self._work, self.working = self._gradients.work(asked, self._writing.adapter), True
            return
        self._waiting.extend(enumerate(asked))
        self._scores = [[] for _ in asked]

    def _advance(self, scores: list[np.ndarray]) -> Delta | None:
        assert self._scoring is not None
        try:
            self._ask(self._scoring.send(scores))
        except StopIteration as ended:
            told = [document(ended.value, {}, self._picture)]
            text = msgspec.json.encode(told).decode()
            return Delta(self._number, 0, text, self._written, finish=Finish.stop)
        return None

    def usage(self) -> TokenUsage:
        """The answer's own: what explaining it took is in the replica's cost."""
        return TokenUsage(len(self._writing.tokens), self._cached, self._written)


def _method(asked: str, gradients: Gradients) -> str:
    """Raises Unprocessable where it is none, or cannot be had here."""
    if asked not in METHODS:
        raise Unprocessable(f"Text is explained by {' or '.join(METHODS)}: got {asked!r}.", field="method", got=asked)
    if asked == GRADIENTS:
        gradients.kind()
    return asked


def _nothing() -> Iterator[list[np.ndarray] | None]:
    yield from ()
