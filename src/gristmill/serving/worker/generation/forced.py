"""A sequence whose next tokens are given: what it owes to them is told by their log probabilities."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np


class Forced:
    """See frameworks/generation.Grammar: exactly these tokens, and then whatever comes."""

    def __init__(self, tokens: Iterable[int], vocabulary: int) -> None:
        self._left, self._vocabulary = deque(tokens), vocabulary

    def allowed(self) -> np.ndarray:
        if not self._left:
            return np.ones(self._vocabulary, bool)
        only = np.zeros(self._vocabulary, bool)
        only[self._left[0]] = True
        return only

    def accept(self, token: int) -> None:
        if self._left:
            self._left.popleft()
