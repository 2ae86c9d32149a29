"""Tokens that are guessed ahead come sooner, and are those that would have come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.generation import Sampling
from gristmill.frameworks.drafts import Drafts, Memory
from gristmill.frameworks.generation import Job
from gristmill.frameworks.transformers.generator import TransformersGenerator
from tests import language

VOCABULARY = 300
GREEDY = Sampling(temperature=0)
AGAIN = [7, 8, 9, 10, 11, 12] * 6


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> TransformersGenerator:
    """A step costs as much as a hundred tokens in it: whatever stood somewhere before is worth a guess."""
    monkeypatch.setattr(TransformersGenerator, "_step_tokens", lambda self: 100.0)
    return TransformersGenerator(language.model(VOCABULARY), language.CONTEXT, 2**28)


def steps(made: TransformersGenerator, *jobs: Job) -> tuple[dict[int, list[int]], int]:
    """What each got, and in how many steps."""
    for job in jobs:
        made.submit(job)
    got: dict[int, list[int]] = {job.id: [] for job in jobs}
    count = 0
    while made.busy:
        for emission in made.step():
            got[emission.id].append(emission.token)
        count += 1
    return got, count


PENALISED = Sampling(temperature=0, repetition_penalty=1.2, frequency_penalty=0.3)


@pytest.mark.parametrize("sampling", [GREEDY, PENALISED, *(Sampling(temperature=t, seed=5) for t in (0.3, 1.0))])
def test_the_tokens_are_those_that_come_without_guesses(generator: TransformersGenerator, sampling: Sampling) -> None:
    prompts = [AGAIN, [*range(20)], [5], [*range(30, 60), 7, 8], AGAIN[2:]]
    jobs = [Job(number, tokens, 40, sampling, frozenset()) for number, tokens in enumerate(prompts)]
    plainly, most = steps(generator, *(job._replace(drafts=False) for job in jobs))
    guessing, fewer = steps(generator, *jobs)
    assert guessing == plainly
    assert fewer <= most


def test_what_was_answered_before_comes_in_fewer_steps(generator: TransformersGenerator) -> None:
    job = Job(0, [3, 4, 5, 6], 40, GREEDY, frozenset())
    first, _ = steps(generator, job)
    for _ in range(3):
        again, count = steps(generator, job)
    assert again == first
    assert count < 20


def test_a_sequence_ends_inside_a_guess(generator: TransformersGenerator) -> None:
    whole, _ = steps(generator, Job(0, AGAIN, 40, GREEDY, frozenset()))
    end = whole[0][25]
    to_the_end = whole[0][: whole[0].index(end) + 1]
    for number in range(3):
        given, _ = steps(generator, Job(number, AGAIN, 40, GREEDY, frozenset({end})))
        assert given[number] == to_the_end
        given, _ = steps(generator, Job(number, AGAIN, 23, GREEDY, frozenset()))
        assert given[number] == whole[0][:23]


class Counting:
    """A grammar that allows one token after another, and counts them."""

    def __init__(self) -> None:
        self.next = 0

    def allowed(self) -> np.ndarray:
        return np.arange(VOCABULARY) == self.next

    def accept(self, token: int) -> None:
        assert token == self.next
        self.next += 1


def test_a_grammar_rules_guesses_too(generator: TransformersGenerator) -> None:
    for number in range(3):
        got, count = steps(generator, Job(number, [1, 2], 40, GREEDY, frozenset(), grammar=Counting()))
        assert got[number] == [*range(40)]
    assert count < 20


def test_log_probabilities_of_guessed_tokens_are_the_models_own(generator: TransformersGenerator) -> None:
    job = Job(0, AGAIN, 30, GREEDY, frozenset(), logprobs=2)
    found = []
    for drafts in (False, True, True):
        generator.submit(job._replace(drafts=drafts))
        told: list[float] = []
        while generator.busy:
            told += [one.logprob for one in generator.step() if one.logprob is not None]
        found.append(told)
    assert found[1] == pytest.approx(found[0], abs=1e-4)
    assert found[2] == pytest.approx(found[0], abs=1e-4)


def test_where_a_step_costs_no_more_than_its_tokens_nothing_is_guessed() -> None:
    drafts = Drafts(step_tokens=0.0)
    drafts.remember([1, 2, 3, 1, 2, 3])
    assert drafts.guess([([9, 1, 2], 10)])[0].tokens == ()


def test_guesses_that_prove_wrong_are_made_no_more() -> None:
    drafts = Drafts(step_tokens=3.0)
    drafts.remember([1, 2, 3, 4])
    (draft,) = drafts.guess([([9, 1, 2], 10)])
    assert draft.tokens == (3,)
    for _ in range(100):
        drafts.learn(draft, 0)
    assert drafts.guess([([9, 1, 2], 10)])[0].tokens == ()


def test_among_many_sequences_only_surer_guesses_are_made() -> None:
    drafts = Drafts(step_tokens=20.0)
    drafts.remember([1, 2, 3, 4, 5, 6, 7, 8])
    alone = drafts.guess([([9, 1, 2], 10)])
    assert len(alone[0].tokens) > 2
    assert all(not one.tokens for one in drafts.guess([([9, 1, 2], 10)] * 32))


@given(st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=12), max_size=6),
       st.lists(st.integers(0, 3), min_size=2, max_size=12))  # fmt: skip
def test_the_match_is_the_longest_there_is(texts: list[list[int]], asked: list[int]) -> None:
    memory = Memory()
    for text in texts:
        memory.add(text, 0)
    found = memory.longest(asked)
    lately = [(text, at) for text in texts for at in range(1, len(text)) if text[at - 1 : at + 1] == asked[-2:]][-8:]
    lengths = [_common_end(asked, text[: at + 1]) for text, at in lately if at + 1 < len(text)]
    assert (0 if found is None else found[0]) == min(6, max(lengths, default=0))


def _common_end(one: Sequence[int], other: Sequence[int]) -> int:
    length = 0
    while length < min(len(one), len(other)) and one[-1 - length] == other[-1 - length]:
        length += 1
    return length
