"""One attempt of a run in a process of its own, begun from one that has imported PyTorch and Transformers already.

Of Gristmill nothing is imported there: fault points read the environment at their import.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from unittest import mock


class Attempt:
    """As a Popen of `python -m gristmill.lab.run FOLDER`."""

    def __init__(self, folder: Path, crash_at: str) -> None:
        self._process = _context().Process(target=_run, args=(str(folder), crash_at), daemon=True)
        self._process.start()

    def wait(self, within_s: float | None = None) -> int:
        self._process.join(within_s)
        status = self._process.exitcode
        assert status is not None, f"the run has not ended within {within_s} s"
        return status

    def poll(self) -> int | None:
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "transformers.trainer"])
    with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"):
        ensure_running()
    return context


def _run(folder: str, crash_at: str) -> None:
    log = os.open(Path(folder) / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    os.environ["GRISTMILL_CRASH_AT"] = crash_at
    from gristmill.lab.run import main

    sys.exit(main(Path(folder)))
