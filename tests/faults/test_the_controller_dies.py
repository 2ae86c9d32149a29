import os
import signal
import time

from gristmill.core.processes import living
from tests.conftest import endpoint_state
from tests.running import Load, Platform, eventually


def test_kill_9_of_the_controller_fails_no_request_and_starts_nothing_twice(
    wine_platform: Platform, wine_rows: list[list[float]]
) -> None:
    before = _serving(wine_platform)
    with Load(wine_platform, "wine", wine_rows) as load:
        eventually(lambda: len(load.answered) > 50, 20)
        dead = wine_platform.kill("controller")
        eventually(lambda: "controller" in _living(wine_platform) and wine_platform.pid_of("controller") != dead, 20)
        eventually(lambda: wine_platform.cli("status", check=False).returncode == 0, 20)
        assert endpoint_state(wine_platform, "wine") == "ready"
        count = len(load.answered)
        eventually(lambda: len(load.answered) > count + 50, 20)
    assert load.failures == []
    assert load.broken == 0
    assert _serving(wine_platform) == before
    commands = [" ".join(process.cmdline()) for process in wine_platform.processes()]
    assert [sum(folder in command for command in commands) for folder in wine_platform.replicas("wine")] == [1, 1]


def test_a_controller_that_was_stopped_takes_nobody_for_hung(wine_platform: Platform) -> None:
    before, controller = _serving(wine_platform), wine_platform.pid_of("controller")
    os.kill(controller, signal.SIGSTOP)
    time.sleep(4)  # longer than a gateway or a replica may be silent
    os.kill(controller, signal.SIGCONT)
    eventually(lambda: wine_platform.cli("status", check=False).returncode == 0, 20)
    time.sleep(1)  # what it would kill, it would kill with its first look
    assert (wine_platform.pid_of("controller"), _serving(wine_platform)) == (controller, before)


def _serving(running: Platform) -> dict[str, int]:
    """The process of each of wine's replicas and of each gateway."""
    return {folder: running.pid_of(folder) for folder in [*running.replicas("wine"), *running.folders("gateways")]}


def _living(running: Platform) -> list[str]:
    return ["controller"] if living(running.home / "controller") else []
