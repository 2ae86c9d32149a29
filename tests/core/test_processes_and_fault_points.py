import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from gristmill.core.measurement import Meter
from gristmill.core.processes import living

CLAIM = """
import pathlib, sys, time
from gristmill.core.processes import claim
claim(pathlib.Path(sys.argv[1]))
print("in", flush=True)
time.sleep(60)
"""


def start(folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", CLAIM, str(folder)], stdout=subprocess.PIPE)


def test_a_folder_has_one_process_however_often_it_is_started(tmp_path: Path) -> None:
    first = start(tmp_path)
    assert first.stdout is not None
    first.stdout.readline()
    second = start(tmp_path)
    assert second.wait(20) == 0
    assert second.stdout is not None
    assert second.stdout.read() == b""
    process = living(tmp_path)
    assert process is not None
    assert process.pid == first.pid
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert living(tmp_path) is None
    third = start(tmp_path)
    assert third.stdout is not None
    assert third.stdout.readline() == b"in\n"
    third.kill()
    third.wait()


def test_a_process_that_got_the_pid_of_a_dead_one_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "process.json").write_text(f'{{"pid": {os.getpid()}, "started_at": {time.time() - 9e6}}}')
    assert living(tmp_path) is None


def test_a_named_fault_point_ends_the_process_at_its_nth_passing() -> None:
    code = """
from gristmill.core.faults import fault_point
passing = fault_point("x.y")
for i in range(5):
    passing()
    print(i, flush=True)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "GRISTMILL_CRASH_AT": "x.y:3"},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (137, b"0\n1\n")


def test_the_peak_of_memory_is_the_process_s_own_and_not_of_the_one_that_started_it() -> None:
    big = np.ones(2**25)  # 256 MiB, touched
    script = "from gristmill.core.measurement import Meter\nprint(Meter().read().peak_memory_bytes)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert int(told) < 2**27, "it began with the peak of its parent"
    assert Meter().read().peak_memory_bytes > big.nbytes
