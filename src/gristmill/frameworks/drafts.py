"""Guesses at the next tokens of a sequence, out of what was read and written before: verified in one step, they come
for less than a step each.

A token that is drawn from the model at its place anew, and kept only while it is the guess, leaves every answer as it
would have been but for rounding. (Leviathan, Kalman, Matias, ICML 2023, "Fast Inference from Transformers via
Speculative Decoding"; guesses out of the prompt: Saxena 2023, "Prompt Lookup Decoding"; out of earlier answers too:
Oliaro et al., NeurIPS 2025, "SuffixDecoding". Found as Ziv and Lempel 1977 find the longest match: by its last tokens.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_KEY = 2  # tokens by which a match is found
_CANDIDATES = 8  # the latest of those that a match is chosen from
_LONGEST_MATCH = 6  # longer ones are no surer
_MOST = 7  # guesses for one sequence in one step
_WIDENING = 0.2  # of a token's time: what one guess more for some costs each sequence of the step
_REMEMBERED = 50_000  # tokens of one of the two generations
_FADING = 1000  # guesses after which the rates' counts are halved


class Draft(NamedTuple):
    """Guesses at the tokens that follow, after a match of so many; `chances`: that one and all before it are true."""

    length: int
    tokens: tuple[int, ...] = ()
    chances: tuple[float, ...] = ()

    def cut(self, most: int) -> Draft:
        return Draft(self.length, self.tokens[:most], self.chances[:most])


NONE = Draft(0)


class _Place(NamedTuple):
    tokens: Sequence[int]
    at: int  # of the last token of a key


class Memory:
    """Where which two tokens followed each other, lately; two generations, of which the older one goes as a whole."""

    def __init__(self) -> None:
        self._young: dict[tuple[int, ...], list[_Place]] = {}
        self._old: dict[tuple[int, ...], list[_Place]] = {}
        self._count = 0

    def add(self, tokens: Sequence[int], start: int) -> None:
        """Those from `start` on; `tokens` may grow later, and are never changed."""
        for at in range(max(start, _KEY - 1), len(tokens)):
            places = self._young.setdefault(tuple(tokens[at + 1 - _KEY : at + 1]), [])
            places.append(_Place(tokens, at))
            if len(places) > _CANDIDATES:
                del places[0]
        self._count += len(tokens) - start
        if self._count > _REMEMBERED:
            self._old, self._young, self._count = self._young, {}, 0

    def longest(self, tokens: Sequence[int]) -> tuple[int, _Place] | None:
        """How many of the last tokens stood elsewhere too, up to `_LONGEST_MATCH`, and where: the latest of equals."""
        key = tuple(tokens[-_KEY:])
        best: tuple[int, _Place] | None = None
        for place in (*reversed(self._young.get(key, ())), *reversed(self._old.get(key, ()))):
            if place.at + 1 < len(place.tokens):
                length = _matching(tokens, place)
                if best is None or length > best[0]:
                    best = length, place
                    if length == _LONGEST_MATCH:
                        break
        return best


def _matching(tokens: Sequence[int], place: _Place) -> int:
    most = min(_LONGEST_MATCH, place.at + 1, len(tokens))
    length = _KEY
    while length < most and tokens[-1 - length] == place.tokens[place.at - length]:
        length += 1
    return length


class Drafts:
    """Which guesses are worth their place, by how often those after as long a match came true so far."""

    def __init__(self, step_tokens: float) -> None:
        """`step_tokens`: a step costs as much as this many tokens more in it do."""
        self._step_tokens = step_tokens
        self._memory = Memory()
        self._made = [2.0] * (_LONGEST_MATCH + 1)  # by the length of the match
        self._true = [1.0] * (_LONGEST_MATCH + 1)

    def remember(self, tokens: Sequence[int], start: int = 0) -> None:
        """See Memory.add."""
        self._memory.add(tokens, start)

    def guess(self, sequences: Sequence[tuple[Sequence[int], int]]) -> list[Draft]:
        """For each (tokens, how many more it may get) of the sequences that get a token from the step."""
        drafts = [self._draft(tokens, most, len(sequences)) for tokens, most in sequences]
        width = self._width(drafts)
        return [draft.cut(width) for draft in drafts]

    def _draft(self, tokens: Sequence[int], most: int, among: int) -> Draft:
        """Of guesses that gain more than they cost."""
        found = self._memory.longest(tokens) if most > 0 else None
        if found is None:
            return NONE
        length, place = found
        guesses: list[int] = []
        chances: list[float] = []
        p = 1.0
        for token in place.tokens[place.at + 1 : place.at + 1 + min(most, _MOST)]:
            p *= self._rate(length + len(guesses))
            if self._gain(p, among) <= 0:
                break
            guesses.append(token)
            chances.append(p)
        return Draft(length, tuple(guesses), tuple(chances))

    def _gain(self, p: float, among: int) -> float:
        """In tokens' time: a guess saves a sequence's share of a step where it is true, and is computed for nothing
        where it is not."""
        return p * self._step_tokens / among - (1 - p)

    def _width(self, drafts: Sequence[Draft]) -> int:
        """How many guesses of each: attention computes all sequences as wide as the widest."""
        among, width = len(drafts), 0
        while width < _MOST:
            gained = sum(self._gain(draft.chances[width], among) for draft in drafts if len(draft.tokens) > width)
            if gained <= _WIDENING * among:
                break
            width += 1
        return width

    def _rate(self, length: int) -> float:
        length = min(length, _LONGEST_MATCH)
        return self._true[length] / self._made[length]

    def learn(self, draft: Draft, true: int) -> None:
        """The first `true` of its guesses were."""
        for number in range(min(true + 1, len(draft.tokens))):
            length = min(draft.length + number, _LONGEST_MATCH)
            self._made[length] += 1
            self._true[length] += number < true
            if self._made[length] > _FADING:
                self._made[length] /= 2
                self._true[length] /= 2
