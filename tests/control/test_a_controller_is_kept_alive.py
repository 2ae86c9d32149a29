import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control.rig import pid_of
from tests.running import eventually, free_port, processes_of


def start(process: str, home: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", f"gristmill.{process}", "--home", str(home)],
        env={
            **os.environ,
            "GRISTMILL_HOME": str(home),
            "GRISTMILL_CONTROL_PORT": str(free_port()),
            "GRISTMILL_INFERENCE_PORT": str(free_port()),
            **environment,
        },
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start("supervisor", tmp_path / "home")
    yield process
    process.kill()
    for left in processes_of(tmp_path / "home"):
        left.kill()
    process.communicate()


def test_a_killed_controller_is_started_again_and_the_gateway_lives_on(
    supervisor: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    gateway = eventually(lambda: pid_of(home / "gateways" / "gw0"), 60)
    first = pid_of(home / "controller")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: pid_of(home / "controller") not in (None, first), 60)
    assert pid_of(home / "gateways" / "gw0") == gateway
    second = start("app", home)
    assert second.wait(60) == 0, "a second controller of this home leaves at once"
    supervisor.terminate()
    assert supervisor.wait(60) == 0
    assert pid_of(home / "controller") is None
    assert pid_of(home / "gateways" / "gw0") is None


def test_a_platform_whose_home_is_deleted_ends(supervisor: subprocess.Popen[bytes], tmp_path: Path) -> None:
    home = tmp_path / "home"
    eventually(lambda: pid_of(home / "gateways" / "gw0"), 60)
    started = processes_of(home)
    shutil.rmtree(home, ignore_errors=True)  # what lives may write a file again meanwhile
    assert supervisor.wait(60) == 0
    eventually(lambda: not any(process.is_running() for process in started), 20, "a process is left")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"GRISTMILL_HOST": "0.0.0.0"}, b"reachable from outside"),
        ({"GRISTMILL_CONTROL_PORT": "99999"}, b"A setting is not valid"),
    ],
)
def test_what_must_not_be_started_says_why_in_one_sentence_and_exits_2(
    tmp_path: Path, environment: dict[str, str], said: bytes
) -> None:
    process = start("app", tmp_path / "home", **environment)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said in errors.splitlines()[-1]


def test_secrets_are_made_once_and_only_their_owner_reads_them(
    supervisor: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    eventually(lambda: pid_of(home / "gateways" / "gw0"), 60)
    for name in ("admin.key", "pepper"):
        assert (home / name).stat().st_mode & 0o777 == 0o600
