"""The local engine: processes of this machine, found again by the lock and `process.json` in their folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from gristmill.core.processes import living
from gristmill.engines.protocol import ProcessSpec

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class LocalEngine:
    """Keeps its own children only to reap them; whether a process lives is asked of its folder."""

    def __init__(self) -> None:
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, spec: ProcessSpec) -> None:
        if self.alive(spec.folder):
            return
        folder = Path(spec.folder)
        folder.mkdir(parents=True, exist_ok=True)
        threads = str(max(1, int(spec.resources.cores)))
        environment = {**os.environ, **dict.fromkeys(_THREADS, threads), **spec.environment}
        with (folder / "log.txt").open("ab") as log:
            self._children[spec.folder] = subprocess.Popen(
                [sys.executable, "-m", spec.module, *spec.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )

    def alive(self, folder: str) -> bool:
        child = self._children.get(folder)
        if child is not None and child.poll() is None:
            return True  # it may not have written its process.json yet
        return living(Path(folder)) is not None

    def exit_status(self, folder: str) -> int | None:
        child = self._children.get(folder)
        return None if child is None else child.poll()

    def terminate(self, folder: str) -> None:
        process = self._process(folder)
        if process is not None:
            _send(process, signal.SIGTERM)

    def kill(self, folder: str) -> None:
        process = self._process(folder)
        if process is None:
            return
        for descendant in _descendants(process):
            _send(descendant, signal.SIGKILL)
        _send(process, signal.SIGKILL)

    def _process(self, folder: str) -> psutil.Process | None:
        found = living(Path(folder))
        child = self._children.get(folder)
        if found is None and child is not None and child.poll() is None:
            return _existing(child.pid)
        return found


def _existing(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _send(process: psutil.Process, which: signal.Signals) -> None:
    try:
        process.send_signal(which)
    except psutil.Error:
        return
