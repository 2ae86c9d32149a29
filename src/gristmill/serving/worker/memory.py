"""A worker that passes its memory ends itself, before the machine has to choose whom to end."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

_log = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
OUT_OF_MEMORY = 78  # the exit status


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def watch(limit_bytes: int) -> None:
    """End this process once its resident memory passes `limit_bytes`.

    Resident memory, not RLIMIT_AS or RLIMIT_DATA: frameworks reserve far more than they touch.
    """
    threading.Thread(target=_watch, args=(limit_bytes,), name="memory", daemon=True).start()


def _watch(limit_bytes: int) -> None:
    while True:
        time.sleep(_LOOK_EVERY_S)
        if (resident := resident_bytes()) > limit_bytes:
            _log.error("the worker uses %d bytes, more than the %d it was granted: it ends", resident, limit_bytes)
            os._exit(OUT_OF_MEMORY)
