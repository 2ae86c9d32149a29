"""Drawing the next token from a model's logits, one sequence at a time; the same for every engine that gives logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gristmill.core.generation import Sampling
from gristmill.frameworks.generation import Grammar, Job

_LIKELY = 1024  # candidates that are sorted at first; nearly always they hold `top_p` of the mass


class Drawn(NamedTuple):
    token: int
    logprob: float | None = None  # natural, of the model's own distribution: before penalties and temperature
    top: tuple[tuple[int, float], ...] = ()


class Sampler:
    """Of one sequence. Draws in float64 with a generator of its own: the same seed gives the same tokens.

    Presence and frequency penalties are OpenAI's, over the tokens generated so far; the repetition penalty is that of
    Keskar et al. 2019, "CTRL", section 4.1, over the prompt too.
    """

    def __init__(self, job: Job) -> None:
        self._sampling = job.sampling
        self._logprobs = job.logprobs
        self._grammar: Grammar | None = job.grammar
        self._generator = np.random.default_rng(job.sampling.seed)
        self._counts: dict[int, int] = {}
        self._repeated = set(job.tokens) if job.sampling.repetition_penalty != 1.0 else set()
        self.plain = self._grammar is None and job.logprobs is None and _is_argmax(job.sampling)

    def draw(self, logits: np.ndarray) -> Drawn:
        """From float32 [vocabulary] logits, which stay as they are."""
        drawn = self._token(logits)
        if self._grammar is not None:
            self._grammar.accept(drawn)
        self._count(drawn)
        if self._logprobs is None:
            return Drawn(drawn)
        own = log_softmax(logits)
        return Drawn(drawn, float(own[drawn]), _likeliest(own, self._logprobs))

    def _token(self, logits: np.ndarray) -> int:
        sampling = self._sampling
        if self.plain:
            return int(logits.argmax())
        scores = self._penalised(logits.astype(np.float64))
        if self._grammar is not None:
            scores[~self._grammar.allowed()[: len(scores)]] = -np.inf
        if sampling.temperature == 0:
            return int(scores.argmax())
        tokens, p = kept(scores / sampling.temperature, sampling)
        place = int(np.searchsorted(np.cumsum(p), self._generator.random() * p.sum(), side="right"))
        return int(tokens[min(place, len(tokens) - 1)])

    def _penalised(self, scores: np.ndarray) -> np.ndarray:
        sampling = self._sampling
        if self._repeated:
            seen = np.fromiter(self._repeated, np.int64)
            of_seen = scores[seen]
            scores[seen] = np.where(of_seen < 0, of_seen * sampling.repetition_penalty,
                                    of_seen / sampling.repetition_penalty)  # fmt: skip
        if self._counts:
            for token, count in self._counts.items():
                scores[token] -= sampling.presence_penalty + sampling.frequency_penalty * count
        for token, bias in sampling.logit_bias.items():
            scores[token] += bias
        return scores

    def _count(self, token: int) -> None:
        sampling = self._sampling
        if sampling.presence_penalty or sampling.frequency_penalty:
            self._counts[token] = self._counts.get(token, 0) + 1
        if sampling.repetition_penalty != 1.0:
            self._repeated.add(token)


def draw_all(logits: np.ndarray, samplers: Sequence[Sampler]) -> list[Drawn]:
    """One token for each row of float32 [n, vocabulary]."""
    if all(sampler.plain for sampler in samplers):
        return [Drawn(int(token)) for token in logits.argmax(axis=1)]
    return [sampler.draw(row) for row, sampler in zip(logits, samplers, strict=True)]


def kept(scores: np.ndarray, sampling: Sampling) -> tuple[np.ndarray, np.ndarray]:
    """Tokens that top-k, top-p and min-p leave, likeliest first, and their probabilities (which need not sum to 1).

    Top-p is that of Holtzman et al., ICLR 2020, "The Curious Case of Neural Text Degeneration", after top-k; min-p that
    of Nguyen et al., ICLR 2025, "Turning Up the Heat". `scores` is float64 [vocabulary], temperature applied.
    """
    most = sampling.top_k or len(scores)
    p = np.exp(scores - scores.max())
    p /= p.sum()
    if sampling.top_p >= 1.0 and not sampling.top_k and not sampling.min_p:
        (tokens,) = p.nonzero()
        return tokens, p[tokens]
    tokens = _descending(p, min(most, _LIKELY))
    if sampling.top_p < 1.0 and most > _LIKELY and p[tokens].sum() < sampling.top_p:
        tokens = _descending(p, len(p))
    elif sampling.top_p >= 1.0 and most > len(tokens):
        tokens = _descending(p, min(most, len(p)))
    chosen = p[tokens]
    if sampling.top_k:
        chosen = chosen / chosen.sum()
    inside = np.cumsum(chosen) - chosen < sampling.top_p  # the first token that passes `top_p` is still in
    inside &= chosen >= sampling.min_p * chosen[0]
    inside &= chosen > 0
    return tokens[inside], chosen[inside]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """float64, of float [vocabulary]."""
    scores = logits.astype(np.float64)
    scores -= scores.max()
    result: np.ndarray = scores - np.log(np.exp(scores).sum())
    return result


def _descending(p: np.ndarray, most: int) -> np.ndarray:
    """The `most` likeliest; of equals the one with the lower id comes first."""
    tokens = np.argpartition(p, len(p) - most)[len(p) - most :] if most < len(p) else np.arange(len(p))
    tokens.sort()
    result: np.ndarray = tokens[np.argsort(-p[tokens], kind="stable")]
    return result


def _likeliest(own: np.ndarray, most: int) -> tuple[tuple[int, float], ...]:
    return tuple((int(token), float(own[token])) for token in _descending(own, most)) if most else ()


def _is_argmax(sampling: Sampling) -> bool:
    changed = sampling.logit_bias or sampling.presence_penalty or sampling.frequency_penalty
    return sampling.temperature == 0 and not changed and sampling.repetition_penalty == 1.0
