"""What a batch of n rows takes: t(n) = a + b·n, learned while serving."""

from __future__ import annotations

from collections.abc import Iterable

_FORGETTING = 0.98  # half of the weight lies in the last 34 batches
_OUTLIER = 8.0  # one observation counts for at most so many times what was expected: a stopped worker is no trend


class CostModel:
    """Recursive least squares with forgetting (Haykin, Adaptive Filter Theory, ch. 10), on rows, not on jobs.

    A request may carry many rows: a fit on jobs mis-learns. Until it has seen a batch it expects 0 s.
    """

    def __init__(self) -> None:
        self.a = 0.0
        self.b = 0.0
        self.seen = 0
        self._p = (1e3, 0.0, 1e3)  # the inverse correlation matrix, symmetric: p00, p01, p11

    def seconds(self, rows: int) -> float:
        return self.a + self.b * rows

    def learn(self, rows: int, seconds: float) -> None:
        """One batch of `rows` took `seconds` on a replica."""
        expected = self.seconds(rows)
        if self.seen >= 8:
            seconds = min(seconds, _OUTLIER * expected + 0.01)
        p00, p01, p11 = self._p
        g0, g1 = p00 + p01 * rows, p01 + p11 * rows
        scale = 1.0 / (_FORGETTING + g0 + g1 * rows)
        error = seconds - expected
        self.a += g0 * scale * error
        self.b += g1 * scale * error
        self._p = (
            min((p00 - g0 * g0 * scale) / _FORGETTING, 1e3),
            (p01 - g0 * g1 * scale) / _FORGETTING,
            min((p11 - g1 * g1 * scale) / _FORGETTING, 1e3),
        )
        self.seen += 1
        if not self.b >= 0.0 or not self.a >= 0.0:  # batches of one size only tell a + b·n, not which is which
            self._restart(rows, max(self.seconds(rows), 0.0))

    def _restart(self, rows: int, seconds: float) -> None:
        self.a, self.b = seconds / 2, seconds / (2 * rows)
        self._p = (1.0, 0.0, 1.0 / (rows * rows))

    def learn_all(self, timings: Iterable[tuple[int, float]]) -> None:
        for rows, seconds in timings:
            self.learn(rows, seconds)
