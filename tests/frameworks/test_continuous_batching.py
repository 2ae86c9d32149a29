"""Whatever comes and goes beside a sequence, it gets the tokens that it would get alone."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch

from gristmill.core.generation import Sampling
from gristmill.frameworks.generation import Job
from gristmill.frameworks.transformers import generator as generators
from gristmill.frameworks.transformers.generator import TransformersGenerator
from tests import language

VOCABULARY = 300
GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def alone() -> Alone:
    return Alone()


class Alone:
    """Transformers' own `generate`, one prompt at a time."""

    def __init__(self) -> None:
        self.model = language.model(VOCABULARY)
        self._known: dict[tuple[tuple[int, ...], int], list[int]] = {}

    def __call__(self, tokens: Sequence[int], count: int) -> list[int]:
        key = (tuple(tokens), count)
        if key not in self._known:
            with torch.inference_mode():
                prompt = torch.tensor([list(tokens)])
                given = self.model.generate(
                    prompt,
                    attention_mask=torch.ones_like(prompt),
                    max_new_tokens=count,
                    do_sample=False,
                    eos_token_id=None,
                    pad_token_id=0,
                )
            self._known[key] = given[0, len(tokens) :].tolist()
        return self._known[key]


def generator(memory_bytes: int = 2**28) -> TransformersGenerator:
    return TransformersGenerator(language.model(VOCABULARY), language.CONTEXT, memory_bytes)


def drain(made: TransformersGenerator) -> dict[int, list[int]]:
    given: dict[int, list[int]] = {}
    while made.busy:
        for emission in made.step():
            given.setdefault(emission.id, []).append(emission.token)
    return given


def prompts(count: int, seed: int) -> list[list[int]]:
    """Of many lengths; some begin alike."""
    drawn = random.Random(seed)
    beginning = [drawn.randrange(VOCABULARY) for _ in range(40)]
    return [
        beginning[: drawn.choice((0, 0, 12, 40))] + [drawn.randrange(VOCABULARY) for _ in range(drawn.randint(1, 60))]
        for _ in range(count)
    ]


def test_sequences_that_come_and_go_get_the_tokens_that_they_get_alone(alone: Alone) -> None:
    made, drawn = generator(), random.Random(5)
    wanted: dict[int, tuple[list[int], int]] = {}
    given: dict[int, list[int]] = {}
    cancelled: set[int] = set()
    waiting = list(enumerate(prompts(50, 1)))
    while waiting or made.busy:
        for _ in range(drawn.choice((0, 0, 1, 3, 9))):
            if waiting:
                number, tokens = waiting.pop()
                wanted[number] = (tokens, drawn.randint(1, 20))
                made.submit(Job(number, tokens, wanted[number][1], GREEDY, frozenset()))
        if drawn.random() < 0.1 and wanted:
            cancelled.add(drawn.choice(list(wanted)))
            made.cancel(max(cancelled, key=list(wanted).index))
        for emission in made.step() if made.busy else ():
            given.setdefault(emission.id, []).append(emission.token)
    for number, (tokens, count) in wanted.items():
        own = given.get(number, [])
        assert own == alone(tokens, count)[: len(own)]
        assert len(own) == count or number in cancelled


def test_when_memory_holds_few_rows_the_others_wait_or_start_again_with_the_same_tokens(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gristmill.frameworks.transformers.rows._SHORTEST_STEP", 16)
    monkeypatch.setattr(generators, "_FIRST_TOKENS", 16)
    made = generator(memory_bytes=2 * 2 * 2 * 16 * 4 * 160)  # 160 tokens: layers, keys and values, heads, width, bytes
    given_prompts = prompts(12, 2)
    for number, tokens in enumerate(given_prompts):
        made.submit(Job(number, tokens, 30, GREEDY, frozenset()))
    assert drain(made) == {number: alone(tokens, 30) for number, tokens in enumerate(given_prompts)}


def test_a_prompt_longer_than_a_piece_is_computed_in_pieces_while_others_go_on(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generators, "_PIECE_TOKENS", 7)
    made = generator()
    made.submit(Job(0, [3, 4], 30, GREEDY, frozenset()))
    made.step()
    made.submit(Job(1, [*range(60)], 5, GREEDY, frozenset()))
    emitted = [[one.id for one in made.step()] for _ in range(3)]
    assert emitted == [[0], [0], [0]]
    assert drain(made)[1] == alone([*range(60)], 5)


def test_a_beginning_that_was_computed_before_is_not_computed_again(alone: Alone) -> None:
    made = generator()
    tokens = [*range(50)]
    made.submit(Job(0, tokens, 3, GREEDY, frozenset()))
    drain(made)
    made.submit(Job(1, [*tokens[:40], 250, 251], 4, GREEDY, frozenset()))
    first = made.step()[0]
    assert first.cached == 40
    assert [first.token, *drain(made)[1]] == alone([*tokens[:40], 250, 251], 4)


def test_a_sequence_ends_with_an_end_token_and_says_so(alone: Alone) -> None:
    end = alone([1, 2, 3], 8)[4]
    made = generator()
    made.submit(Job(0, [1, 2, 3], 8, GREEDY, frozenset({end})))
    emitted = []
    while made.busy:
        emitted += made.step()
    stop = alone([1, 2, 3], 8).index(end)
    assert [one.token for one in emitted] == alone([1, 2, 3], 8)[: stop + 1]
    assert [one.finished for one in emitted] == [False] * stop + [True]


def test_the_same_seed_draws_the_same_tokens_whoever_is_beside() -> None:
    warm = Sampling(temperature=1.0, seed=7)
    made = generator()
    made.submit(Job(0, [5, 6], 12, warm, frozenset()))
    by_itself = drain(made)[0]
    for number in range(1, 6):
        made.submit(Job(number, [9, number], 12, Sampling(temperature=1.0, seed=number), frozenset()))
    made.submit(Job(6, [5, 6], 12, warm, frozenset()))
    assert drain(made)[6] == by_itself


def test_log_probabilities_are_the_models_own() -> None:
    made = generator()
    made.submit(Job(0, [5, 6, 7], 1, GREEDY, frozenset(), logprobs=3))
    (emission,) = made.step()
    with torch.inference_mode():
        own = language.model(VOCABULARY)(torch.tensor([[5, 6, 7]])).logits[0, -1].log_softmax(0)
    assert emission.logprob == pytest.approx(float(own.max()), abs=1e-5)
    assert [token for token, _ in emission.top] == own.topk(3).indices.tolist()
