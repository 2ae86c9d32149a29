"""Named fault points: `GRISTMILL_CRASH_AT=name:n` ends the process with status 137 at the n-th passing of `name`.

A point stands before and after each durable write and in the middle of each swap; tests walk them all.
"""

from __future__ import annotations

import os
from collections.abc import Callable

FAULT_POINTS: set[str] = set()


def fault_point(name: str) -> Callable[[], None]:
    """Declare a point once, at module level; call what it returns where the process may die."""
    FAULT_POINTS.add(name)
    wanted, _, count = os.environ.get("GRISTMILL_CRASH_AT", "").partition(":")
    if wanted != name:
        return _pass
    left = [int(count or 1)]

    def passing() -> None:
        left[0] -= 1
        if left[0] == 0:
            os._exit(137)

    return passing


def _pass() -> None:
    return None
