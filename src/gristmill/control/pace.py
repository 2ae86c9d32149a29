"""How fast a thread catches up: at full speed where a core is free, by a share of one where others want them all."""

from __future__ import annotations

from gristmill.core.waiting import Times, thread_times

_BUSY = 0.1  # of the time in which the thread could have run, it had to wait for a core


class Pace:
    """Of the thread that asks; `cores` is what it may take of a machine that has nothing to spare."""

    def __init__(self, cores: float) -> None:
        self._cores = cores
        self._last = thread_times()

    def rest_s(self) -> float:
        """How long to rest after what was done since this was asked before."""
        now = thread_times()
        done, self._last = now.since(self._last), now
        return rest_s(done, self._cores)


def rest_s(done: Times, cores: float) -> float:
    """Seconds of rest that make `done` a share of `cores`; 0 where there was room."""
    return max(0.0, done.ran / cores - done.ran - done.waited) if done.share > _BUSY else 0.0
