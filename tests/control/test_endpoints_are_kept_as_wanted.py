import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gristmill.control import records
from gristmill.control.controller import Controller
from gristmill.control.platform import Platform
from gristmill.control.state import REPLICA_SOCKETS
from gristmill.core.errors import Conflict, NotFound, Unprocessable
from gristmill.core.routes import read_snapshot
from tests.control.rig import BY, StandInEngine, add_version, open_platform, pid_of, stop_asking, until
from tests.control.stand_ins import BROKEN, SLOW

TENANT = BY.tenant


class Served:
    """A platform whose controller takes its steps in the test's own thread."""

    def __init__(self, home: Path, versions: Path) -> None:
        self.home = home
        self.platform = open_platform(home)
        for card in ("first", "second", BROKEN):  # wine@1, wine@2 and wine@3, which does not load
            add_version(self.platform, versions / card.replace(" ", "-"), card)
        self.begin()

    def begin(self) -> None:
        self.engine = StandInEngine()
        self.controller = Controller(self.platform, self.engine)

    def restart(self) -> None:
        """A new controller, as after a kill -9 of the old one: it knows what the database and the folders hold."""
        self.end()
        self.begin()

    def end(self) -> None:
        stop_asking(self.controller)

    def until(self, condition: Callable[[], object], within_s: float = 20.0) -> None:
        until(self.controller.step, condition, within_s)

    def show(self) -> dict[str, Any]:
        return self.platform.endpoint(TENANT, "wine")

    def deploy(self, version: str, state: str = "ready", **request: Any) -> None:
        self.platform.deploy(BY, "wine", {"version": version, **request})
        self.until(lambda: self.show()["state"] == state)

    def pids(self) -> dict[str, int | None]:
        return {one["id"]: pid_of(self.home / "replicas" / one["id"]) for one in self.show()["replicas"]}

    def models(self) -> list[str]:
        """What the gateways route to, a model a replica."""
        (endpoint,) = read_snapshot(self.platform.settings.routes_file).endpoints
        return [one.model for one in endpoint.versions for _ in one.replicas if one.weight]


@pytest.fixture
def served(home: Path, tmp_path: Path) -> Iterator[Served]:
    served = Served(home, tmp_path / "versions")
    yield served
    served.end()
    served.platform.database.close()


@pytest.mark.parametrize("strategy", ["rolling", "blue-green"])
def test_an_endpoint_moves_to_another_version_and_back(served: Served, strategy: str) -> None:
    served.deploy("wine@1", replicas=2)
    assert served.models() == ["wine@1", "wine@1"]
    served.deploy("wine@2", replicas=2, strategy=strategy)
    served.until(lambda: served.models() == ["wine@2", "wine@2"])
    served.platform.rollback(BY, "wine")
    served.until(lambda: served.show()["state"] == "ready")
    served.until(lambda: served.models() == ["wine@1", "wine@1"])
    assert {one["model"] for one in served.show()["replicas"]} == {"wine@1"}


def test_a_version_that_does_not_load_fails_its_rollout_and_the_old_one_keeps_serving(served: Served) -> None:
    served.deploy("wine@1", replicas=2)
    before = served.pids()
    served.deploy("wine@3", state="failed", replicas=2)
    shown = served.show()
    assert (shown["rollout"]["state"], shown["rollout"]["error"]) == ("failed", BROKEN)
    served.until(lambda: served.pids() == before)
    assert served.models() == ["wine@1", "wine@1"]
    served.deploy("wine@2", replicas=1)
    served.until(lambda: served.models() == ["wine@2"])


def test_a_first_version_that_does_not_load_leaves_no_process_behind(served: Served) -> None:
    served.deploy("wine@3", state="failed")
    served.until(lambda: served.show()["replicas"] == [])
    assert not list(served.platform.settings.sockets.glob(REPLICA_SOCKETS))
    served.deploy("wine@1")
    assert served.models() == ["wine@1"]


def test_a_replica_that_is_silent_while_it_loads_is_waited_for(served: Served, tmp_path: Path) -> None:
    """The import of TensorFlow holds the interpreter for seconds where the machine is busy: nothing hangs yet."""
    add_version(served.platform, tmp_path / "slow", SLOW)
    served.deploy("wine@4")
    (replica,) = served.show()["replicas"]
    assert (replica["model"], replica["restarts"]) == ("wine@4", 0)


def test_a_dead_replica_is_back_under_its_own_id_and_a_stopped_one_is_replaced(served: Served) -> None:
    served.deploy("wine@1", replicas=2)
    for which in (signal.SIGKILL, signal.SIGSTOP):
        before = served.pids()
        name, pid = next(iter(before.items()))
        assert pid is not None
        os.kill(pid, which)
        served.until(lambda name=name, pid=pid: served.pids().get(name) not in (None, pid))
        served.until(lambda: all(one["state"] == "ready" for one in served.show()["replicas"]))
        assert served.pids().keys() == before.keys()
    assert served.show()["replicas"][0]["restarts"] == 2


def test_a_new_controller_adopts_what_lives_and_starts_nothing_twice(served: Served) -> None:
    served.deploy("wine@1", replicas=2)
    replicas, gateway = served.pids(), pid_of(served.home / "gateways" / "gw0")
    served.restart()
    for _ in range(10):
        served.controller.step()
    assert (served.pids(), pid_of(served.home / "gateways" / "gw0")) == (replicas, gateway)
    assert served.engine.starts == []


def test_a_controller_that_dies_in_mid_rollout_is_carried_on_by_the_next(served: Served) -> None:
    served.deploy("wine@1", replicas=2)
    served.platform.deploy(BY, "wine", {"version": "wine@2", "replicas": 2})
    for _ in range(200):
        served.restart()  # every controller dies after one step
        served.controller.step()
        if served.show()["state"] == "ready":
            break
    else:
        served.until(lambda: served.show()["state"] == "ready")
    served.until(lambda: served.models() == ["wine@2", "wine@2"])


def test_of_many_deploys_at_once_one_wins_and_the_others_are_told_of_its_rollout(served: Served) -> None:
    def deploy(number: int) -> str:
        try:
            return str(served.platform.deploy(BY, "wine", {"version": f"wine@{number % 2 + 1}"})["rollout"]["id"])
        except Conflict as refusal:
            return refusal.message

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(deploy, range(16)))
    (winner,) = [outcome for outcome in outcomes if outcome.startswith("rol_")]
    assert all(winner in outcome or "someone else" in outcome for outcome in outcomes if outcome != winner)


def test_a_deploy_of_a_generation_that_has_passed_is_refused(served: Served) -> None:
    served.deploy("wine@1")
    with pytest.raises(Conflict, match="generation"):
        served.platform.deploy(BY, "wine", {"version": "wine@2", "generation": 7})


def test_what_a_deployment_does_not_say_stays_and_what_it_says_is_done_for_the_same_version_too(served: Served) -> None:
    served.deploy("wine@1", replicas="2..3", limits={"cache_bytes": 1000, "max_queue": 7})
    served.platform.deploy(BY, "wine", {"version": "wine@1", "resources": {"cores": 1.0}, "limits": {"max_queue": 8}})
    served.until(lambda: served.show()["state"] == "ready")
    target = served.show()["target"]
    assert (target["replicas"], target["most_replicas"]) == (2, 3)
    assert (target["limits"]["cache_bytes"], target["limits"]["max_queue"]) == (1000, 8)
    with served.platform.database.read() as connection:
        live = [one for one in records.live_replicas(connection, TENANT, "wine") if one.state == "ready"]
    assert [one.granted.cores for one in live] == [1.0, 1.0]
    assert {one.granted.memory_bytes for one in live} == {target["resources"]["memory_bytes"]}


def test_scaling_adds_and_drains_and_deleting_leaves_nothing(served: Served) -> None:
    served.deploy("wine@1")
    for count in (3, 1):
        served.platform.scale(BY, "wine", count)
        served.until(lambda: served.show()["state"] == "ready")
        assert len(served.show()["replicas"]) == count
    served.platform.delete_endpoint(BY, "wine")
    with pytest.raises(Conflict, match="deleted"):
        served.platform.deploy(BY, "wine", {"version": "wine@2"})
    served.until(lambda: not served.platform.endpoints(TENANT))
    assert not any(pid_of(folder) for folder in (served.home / "replicas").iterdir())
    assert not list(served.platform.settings.sockets.glob(REPLICA_SOCKETS))


def test_a_dead_or_hung_gateway_is_restarted_on_its_port_with_the_last_routes(served: Served) -> None:
    served.deploy("wine@1")
    folder = served.home / "gateways" / "gw0"
    for which in (signal.SIGKILL, signal.SIGSTOP):
        pid, port = pid_of(folder), served.controller._gateways.specs[0].port
        assert pid is not None
        os.kill(pid, which)
        served.until(lambda pid=pid: pid_of(folder) not in (None, pid))
        assert served.controller._gateways.specs[0].port == port
        served.until(lambda: served.platform.observed.state == "ready")


def test_a_gateway_that_dies_at_its_start_is_started_again_after_longer_and_longer_pauses(served: Served) -> None:
    in_the_way = Path(served.controller._gateways.specs[0].control_socket)
    in_the_way.mkdir(parents=True)
    served.until(lambda: len(served.engine.starts) == 5, 60)
    assert {Path(folder).name for folder in served.engine.starts} == {"gw0"}
    third, fourth, fifth = served.engine.started_at[2:]
    assert (fourth - third >= 0.5, fifth - fourth >= 1.0) == (True, True)
    in_the_way.rmdir()
    served.until(lambda: served.platform.observed.state == "ready", 60)


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        ({"version": "wine@9"}, NotFound, "wine@9"),
        ({"version": "wine@1", "replicas": "4..1"}, Unprocessable, "the least first"),
        ({"version": "wine@1", "strategy": "yolo"}, Unprocessable, "strategy"),
        ({"version": "wine@1", "resources": {"gpus": 1}}, Unprocessable, "more than"),
        ({"version": "wine@1", "resources": {"cores": 10_000}}, Unprocessable, "more than"),
        ({"version": "wine@1", "replica": 2}, Unprocessable, "replica"),
    ],
)
def test_a_wrong_deployment_is_refused_in_one_sentence(
    served: Served, request_: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        served.platform.deploy(BY, "wine", request_)
    assert served.platform.endpoints(TENANT) == []


def test_a_key_that_is_revoked_leaves_the_routes_with_the_next_step(served: Served) -> None:
    platform: Platform = served.platform
    made = platform.create_key(BY, {"name": "a client", "role": "consumer"})
    served.until(lambda: platform.observed.state == "ready")
    assert made["id"] in {key.id for key in read_snapshot(platform.settings.routes_file).keys}
    platform.revoke_key(BY, made["id"])
    served.controller.step()
    assert made["id"] not in {key.id for key in read_snapshot(platform.settings.routes_file).keys}
