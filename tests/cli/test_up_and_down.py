from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gristmill.core.settings import Settings
from tests.running import Platform, free_port


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Platform]:
    """A home without a platform, whose ports stand in no variable: `up` keeps them in settings.toml."""
    running = Platform(tmp_path / "home")
    for name in ("GRISTMILL_CONTROL_PORT", "GRISTMILL_INFERENCE_PORT"):
        del running.environment[name]
    yield running
    running.down()


def ports(running: Platform) -> tuple[str, ...]:
    return ("--inference-port", str(running.inference_port), "--control-port", str(running.control_port))


def test_up_keeps_its_ports_says_when_it_is_up_already_and_down_ends_every_process(stopped: Platform) -> None:
    first = stopped.json("up", *ports(stopped))
    assert (first["state"], first["already_up"]) == ("ready", False)
    assert (stopped.home / "admin.key").stat().st_mode & 0o777 == 0o600
    assert stopped.json("up")["already_up"] is True
    assert stopped.json("status")["inference_url"] == stopped.inference_url
    other = stopped.cli("up", "--inference-port", str(free_port()), check=False)
    assert (other.returncode, "gristmill down" in other.stderr) == (1, True)
    assert stopped.json("status")["state"] == "ready"
    sockets = Settings(home=str(stopped.home)).sockets
    assert sockets.is_dir()
    assert stopped.json("down")["stopped"] > 0
    assert (stopped.processes(), sockets.exists()) == ([], False)
    assert stopped.json("down") == {"state": "down", "stopped": 0}


def test_a_taken_port_is_named_and_nothing_is_started(stopped: Platform) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", stopped.inference_port))
        other.listen()
        ended = stopped.cli("up", *ports(stopped), check=False)
        assert ended.returncode == 1
        assert str(stopped.inference_port) in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
        assert stopped.processes() == []
    assert not (stopped.home / "settings.toml").exists()


def test_a_port_that_is_asked_for_twice_starts_nothing(stopped: Platform) -> None:
    port = str(stopped.inference_port)
    refused = stopped.cli("up", "--inference-port", port, "--control-port", port, check=False)
    assert (refused.returncode, "Each needs a port of its own" in refused.stderr) == (1, True)
    assert not (stopped.home / "settings.toml").exists()


def test_a_taken_grpc_port_is_said_and_the_rest_is_served(stopped: Platform) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", stopped.grpc_port))
        other.listen()
        refused = stopped.cli("up", *ports(stopped), "--grpc-port", str(stopped.grpc_port), check=False)
        assert (refused.returncode, str(stopped.grpc_port) in refused.stderr) == (1, True)
        up = stopped.json("up", *ports(stopped))
        assert (up["state"], up["grpc_address"]) == ("ready", None)
        assert "not served" in stopped.cli("up").stdout


def test_the_doctor_looks_at_the_machine_and_fails_only_for_what_keeps_it_from_working(stopped: Platform) -> None:
    stopped.environment["GRISTMILL_INFERENCE_PORT"] = str(stopped.inference_port)
    stopped.environment["GRISTMILL_CONTROL_PORT"] = str(stopped.control_port)
    report = stopped.json("doctor")
    assert {check["state"] for check in report["checks"]} <= {"ok", "warn"}
    assert all(check["found"] for check in report["checks"])
    stopped.environment["GRISTMILL_HOME"] = "/proc/nowhere"
    ended = stopped.cli("doctor", "--json", check=False)
    assert ended.returncode == 1
    failed = [check["name"] for check in json.loads(ended.stdout)["checks"] if check["state"] == "fail"]
    assert "home" in failed
