"""Against a storm of restarts: a process that dies before it serves is started again after longer and longer pauses."""

from __future__ import annotations

import time

_AT_ONCE = 3  # starts without a pause
_SHORTEST_S, _LONGEST_S = 0.5, 10.0


class Starts:
    """Of one process, since it last served."""

    def __init__(self) -> None:
        self.count = 0
        self._last = 0.0  # monotonic

    def due(self) -> bool:
        """Whether it may be started now."""
        if self.count < _AT_ONCE:
            return True
        pause_s = min(_LONGEST_S, _SHORTEST_S * 2.0 ** min(self.count - _AT_ONCE, 10))
        return time.monotonic() - self._last >= pause_s

    def note(self) -> None:
        """It is started."""
        self.count += 1
        self._last = time.monotonic()

    def forget(self) -> None:
        """It serves."""
        self.count = 0
