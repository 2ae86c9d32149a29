"""How fast a thread catches up: at full speed where a core is free, by a share of one where others want them all."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_BUSY = 0.1  # of the time in which the thread could have run, it had to wait for a core
_SCHEDSTAT = Path("/proc/thread-self/schedstat")  # nanoseconds on a core, nanoseconds of waiting for one


class Times(NamedTuple):
    """Of one thread, in seconds."""

    ran: float
    waited: float


class Pace:
    """Of the thread that asks; `cores` is what it may take of a machine that has nothing to spare."""

    def __init__(self, cores: float) -> None:
        self._cores = cores
        self._last = thread_times()

    def rest_s(self) -> float:
        """How long to rest after what was done since this was asked before."""
        now = thread_times()
        done = Times(now.ran - self._last.ran, now.waited - self._last.waited)
        self._last = now
        return rest_s(done, self._cores)


def rest_s(done: Times, cores: float) -> float:
    """Seconds of rest that make `done` a share of `cores`; 0 where there was room."""
    took = done.ran + done.waited
    return max(0.0, done.ran / cores - took) if done.waited > _BUSY * took else 0.0


def thread_times() -> Times:
    """Of the calling thread; all 0 where the system does not count the waiting: there nobody rests."""
    try:
        ran, waited = _SCHEDSTAT.read_text().split()[:2]
    except OSError:
        return Times(0.0, 0.0)
    return Times(int(ran) / 1e9, int(waited) / 1e9)
