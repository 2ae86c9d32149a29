"""Work that may never end, such as a stranger's graph with an endless loop, ends its process in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def limited(seconds: float, late: Callable[[], None]) -> Iterator[None]:
    """`late` is called in a thread of its own once `seconds` are over: native code hears no signal and no exception."""
    timer = threading.Timer(seconds, late)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
