"""The pieces of a prompt that an explanation of text speaks of, and prompts that lack some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Decode = Callable[[Sequence[int]], str]


class PromptUnits(NamedTuple):
    """`spans`: [start, stop) of each unit in `tokens`; what lies in none of them (a template's own words) stays."""

    tokens: list[int]
    spans: list[tuple[int, int]]
    names: list[str]
    nothing: int  # a token that stands for an empty prompt

    def without(self, lost: np.ndarray) -> list[int]:
        """The prompt without the units where `lost` bool [units] is True; the others close up."""
        gone = {
            place for (start, stop), out in zip(self.spans, lost, strict=True) if out for place in range(start, stop)
        }
        return [token for place, token in enumerate(self.tokens) if place not in gone] or [self.nothing]


def prompt_units(tokens: Sequence[int], said: Sequence[bool], decode: Decode, nothing: int, most: int) -> PromptUnits:
    """Each token that was `said` where they are at most `most`, else words, else runs of words of equal length.

    `decode` gives a token's text, none for a special token, which is no unit.
    """
    texts = [decode([token]) if own else "" for token, own in zip(tokens, said, strict=True)]
    spans = [(place, place + 1) for place, text in enumerate(texts) if text]
    if len(spans) > most:
        spans = _words(spans, texts)
    if len(spans) > most:
        spans = [part for run in _unbroken(spans) for part in _joined(run, -(-len(spans) // most))]
    return PromptUnits(list(tokens), spans, [decode(tokens[start:stop]) for start, stop in spans], nothing)


def _words(spans: list[tuple[int, int]], texts: list[str]) -> list[tuple[int, int]]:
    """A word begins where a token begins with white space, or after what is no unit."""
    words: list[tuple[int, int]] = []
    for start, stop in spans:
        if words and words[-1][1] == start and not texts[start][0].isspace():
            words[-1] = (words[-1][0], stop)
        else:
            words.append((start, stop))
    return words


def _unbroken(spans: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Runs between what is no unit."""
    runs: list[list[tuple[int, int]]] = []
    for span in spans:
        if runs and runs[-1][-1][1] == span[0]:
            runs[-1].append(span)
        else:
            runs.append([span])
    return runs


def _joined(run: list[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    groups = [run[place : place + count] for place in range(0, len(run), count)]
    return [(group[0][0], group[-1][1]) for group in groups]
