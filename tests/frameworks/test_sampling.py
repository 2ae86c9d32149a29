"""Drawing from logits, held against Transformers' own processors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation import logits_process as processors

from gristmill.core.generation import Sampling
from gristmill.frameworks.generation import Job
from gristmill.frameworks.sampling import Sampler, draw_all, kept, log_softmax

LOGITS = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(0, 3, 200).astype(np.float32))


def filtered(logits: np.ndarray, *through: object) -> set[int]:
    scores = torch.from_numpy(logits.astype(np.float64))[None]
    for processor in through:
        scores = processor(torch.zeros(1, 1, dtype=torch.long), scores)  # type: ignore[operator]
    return set(torch.isfinite(scores[0]).nonzero()[:, 0].tolist())


@settings(max_examples=60, deadline=None)
@given(LOGITS, st.integers(0, 150), st.floats(0.05, 1.0), st.floats(0.0, 0.5))
def test_top_k_top_p_and_min_p_leave_what_transformers_leaves(
    logits: np.ndarray, top_k: int, top_p: float, min_p: float
) -> None:
    through: list[object] = [processors.TopKLogitsWarper(top_k)] if top_k else []
    through += [processors.TopPLogitsWarper(top_p)] if top_p < 1 else []
    through += [processors.MinPLogitsWarper(min_p)] if min_p else []
    tokens, p = kept(logits.astype(np.float64), Sampling(top_k=top_k, top_p=top_p, min_p=min_p))
    assert set(tokens.tolist()) == filtered(logits, *through)
    own = torch.from_numpy(logits.astype(np.float64)).softmax(0)[tokens].numpy()
    assert p / p.sum() == pytest.approx(own / own.sum())


def test_what_lies_beyond_the_likeliest_thousand_is_found_where_the_distribution_is_flat() -> None:
    tokens, _ = kept(np.zeros(5000), Sampling(top_p=0.8999))
    assert len(tokens) == 4500


def draws(sampling: Sampling, logits: np.ndarray, count: int = 1, prompt: tuple[int, ...] = (0,)) -> list[int]:
    sampler = Sampler(Job(0, prompt, count, sampling, frozenset()))
    return [sampler.draw(logits).token for _ in range(count)]


def test_drawn_tokens_come_as_often_as_their_probability_says() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    found = np.bincount(draws(Sampling(seed=3), logits, 20_000), minlength=4) / 20_000
    assert found == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.015)


def test_penalties_and_biases_are_openais_over_what_was_generated() -> None:
    logits = np.array([2.0, 1.5, 0.0], np.float32)
    assert draws(Sampling(temperature=0, presence_penalty=0.6), logits, 3) == [0, 1, 0]
    assert draws(Sampling(temperature=0, frequency_penalty=0.3), logits, 5) == [0, 0, 1, 0, 1]
    assert draws(Sampling(temperature=0, logit_bias={2: 5.0}), logits) == [2]


def test_the_repetition_penalty_is_transformers_over_the_prompt_too() -> None:
    logits = np.random.default_rng(1).normal(0, 2, 50).astype(np.float32)
    prompt = (int(logits.argmax()), 3, 4)
    processor = processors.RepetitionPenaltyLogitsProcessor(1.7)
    expected = processor(torch.tensor([prompt]), torch.from_numpy(logits)[None].clone())[0].argmax()
    assert draws(Sampling(temperature=0, repetition_penalty=1.7), logits, prompt=prompt) == [int(expected)]


def test_a_grammar_leaves_only_what_it_allows() -> None:
    class OnlyEven:
        def __init__(self) -> None:
            self.accepted: list[int] = []

        def allowed(self) -> np.ndarray:
            return np.arange(10) % 2 == 0

        def accept(self, token: int) -> None:
            self.accepted.append(token)

    grammar = OnlyEven()
    sampler = Sampler(Job(0, (0,), 9, Sampling(seed=1), frozenset(), grammar=grammar))
    tokens = [sampler.draw(np.zeros(10, np.float32)).token for _ in range(50)]
    assert all(token % 2 == 0 for token in tokens)
    assert grammar.accepted == tokens


def test_log_probabilities_are_before_temperature_and_penalties() -> None:
    logits = np.random.default_rng(2).normal(0, 2, 30).astype(np.float32)
    sampler = Sampler(Job(0, (0,), 1, Sampling(temperature=0.5, seed=4, logit_bias={3: 2.0}), frozenset(), logprobs=2))
    drawn = sampler.draw(logits)
    own = torch.from_numpy(logits).log_softmax(0)
    assert drawn.logprob == pytest.approx(float(own[drawn.token]), abs=1e-5)
    assert [token for token, _ in drawn.top] == own.topk(2).indices.tolist()
    assert log_softmax(logits) == pytest.approx(own.numpy(), abs=1e-5)


def test_greedy_rows_are_drawn_at_once() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 30)).astype(np.float32)
    samplers = [Sampler(Job(i, (0,), 1, Sampling(temperature=0), frozenset())) for i in range(4)]
    assert [drawn.token for drawn in draw_all(logits, samplers)] == logits.argmax(axis=1).tolist()
