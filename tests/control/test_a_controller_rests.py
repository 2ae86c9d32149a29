import os
import signal
import threading
import time
from pathlib import Path

import pytest

from gristmill.control.controller import Controller
from tests.control.rig import BY, StandInEngine, add_version, open_platform, pid_of, stop_asking
from tests.running import eventually


def test_where_nothing_moves_it_looks_seldom_and_still_sees_a_death_at_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = open_platform(home, reconcile_interval_s=0.1)
    add_version(platform, tmp_path / "wine", "wine")
    controller = Controller(platform, StandInEngine())
    looks: list[float] = []
    real = controller.step
    monkeypatch.setattr(controller, "step", lambda: (looks.append(time.monotonic()), real()))
    thread = threading.Thread(target=controller.run)
    thread.start()
    try:
        platform.deploy(BY, "wine", {"version": "wine@1"})
        eventually(lambda: platform.endpoint(BY.tenant, "wine")["state"] == "ready", 20)
        eventually(lambda: looks[-1] < time.monotonic() - 1.0, 20, "ten times its interval without a look")
        (replica,) = platform.endpoint(BY.tenant, "wine")["replicas"]
        for folder in ("gateways/gw0", f"replicas/{replica['id']}"):
            pid = pid_of(home / folder)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            eventually(lambda since=killed: looks[-1] > since, 2, f"the death in {folder} was seen")
            eventually(lambda folder=folder, old=pid: pid_of(home / folder) not in (None, old), 10)
        eventually(lambda: looks[-1] < time.monotonic() - 1.0, 20)
        asked = time.monotonic()
        platform.scale(BY, "wine", 2)
        eventually(lambda: looks[-1] > asked, 1, "what is wanted wakes it")
    finally:
        platform.stop()
        thread.join(30)
        stop_asking(controller)
        platform.database.close()
