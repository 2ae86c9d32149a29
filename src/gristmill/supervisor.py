"""Keeps one controller alive. `python -m gristmill.supervisor --home HOME`.

A file of its own, for it needs little of what app.py imports: as a part of that it took a second of each start.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from gristmill.core import log
from gristmill.core.errors import GristmillError
from gristmill.core.processes import claim, living
from gristmill.core.settings import Settings, load_settings

REFUSED = 2  # exit status of a controller that must not be started again: its settings are wrong
RESTART_AFTER_S = 0.2
LONGEST_WAIT_S = 5.0
LOOK_EVERY_S = 2.0
DRAIN_S = 10.0


def supervise(settings: Settings) -> int:
    """Keep one controller alive until it ends of its own will. Restarting it disturbs no request and no run.

    A platform whose home folder was deleted ends: nobody could stop it, for nobody would find it.
    """
    own = settings.home_path / "supervisor"
    claim(own)
    stopping = threading.Event()
    child: subprocess.Popen[bytes] | None = None

    def pass_on(*_: object) -> None:
        stopping.set()
        if child is not None:
            child.terminate()

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    wait_s = RESTART_AFTER_S
    while True:
        began = time.monotonic()
        child = subprocess.Popen([sys.executable, "-m", "gristmill.app", "--home", settings.home])
        status = _ended(child, own)
        if status == 0 and living(settings.controller_folder) is None:
            shutil.rmtree(settings.sockets, ignore_errors=True)  # may stand outside the home: see Settings.sockets
        if status in (0, REFUSED) or stopping.is_set():
            return REFUSED if status == REFUSED else 0
        wait_s = RESTART_AFTER_S if time.monotonic() - began > 10 else min(LONGEST_WAIT_S, wait_s * 2)
        stopping.wait(wait_s)


def _ended(child: subprocess.Popen[bytes], own: Path) -> int:
    """The exit status of the controller; 0 where it was ended with all that it started, because its home is gone."""
    while True:
        try:
            return child.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            if own.is_dir():
                continue
        started = psutil.Process(child.pid).children(recursive=True)
        child.terminate()
        psutil.wait_procs([psutil.Process(child.pid), *started], DRAIN_S)
        for process in (child, *started):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        child.wait()
        return 0


def main(process: Callable[[Settings], int]) -> int:
    """Of a process whose settings are those of a home folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        settings = load_settings({"home": str(arguments.home)})
        log.configure(settings.log_level)
        return process(settings)
    except GristmillError as error:
        sys.stderr.write(error.message + "\n")
        return REFUSED


if __name__ == "__main__":
    sys.exit(main(supervise))
