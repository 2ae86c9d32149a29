"""How long threads ran, and how long they waited for a core that others had."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_THREAD = Path("/proc/thread-self/schedstat")  # nanoseconds on a core, nanoseconds of waiting for one
_PROCESS = Path("/proc/self/task")


class Times(NamedTuple):
    """In seconds; all 0 where the system does not count the waiting."""

    ran: float
    waited: float

    def since(self, before: Times) -> Times:
        return Times(self.ran - before.ran, self.waited - before.waited)

    @property
    def share(self) -> float:
        """Of the time in which there was something to run, that of waiting."""
        took = self.ran + self.waited
        return self.waited / took if took > 0 else 0.0


def thread_times() -> Times:
    """Of the calling thread."""
    return _summed([_THREAD])


def process_times() -> Times:
    """Of all threads that the calling process has now."""
    return _summed(_PROCESS.glob("*/schedstat"))


def _summed(files: Iterable[Path]) -> Times:
    ran = waited = 0
    for file in files:
        with suppress(OSError):  # a thread that ended meanwhile
            told = file.read_text().split()
            ran, waited = ran + int(told[0]), waited + int(told[1])
    return Times(ran / 1e9, waited / 1e9)
