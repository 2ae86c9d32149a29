"""`gateways: 2` of the settings: two processes on one port, one key ring, one set of books."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from tests.running import Platform, eventually, platform
from tests.serving.rpc import Caller


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("two") / "home", {"GRISTMILL_GATEWAYS": "2"}) as running:
        yield running


def gateway_that_answers(running: Platform) -> str:
    """Request ids begin with what is random of a process; a fresh connection goes to either."""
    connection = http.client.HTTPConnection("127.0.0.1", running.inference_port, timeout=10)
    try:
        connection.request("GET", "/v2", headers={"authorization": f"Bearer {running.key}"})
        answer = connection.getresponse()
        assert answer.status == 200
        return str(answer.headers["x-request-id"])[:-8]
    finally:
        connection.close()


def test_connections_are_spread_over_the_gateways(two: Platform) -> None:
    gateways = two.json("status")["gateways"]
    assert [gateway["id"] for gateway in gateways] == ["gw0", "gw1"]
    assert {gateway["port"] for gateway in gateways} == {two.inference_port}
    assert len({gateway_that_answers(two) for _ in range(64)}) == 2


def test_grpc_connections_are_spread_over_them_too(two: Platform) -> None:
    def gateway() -> str:
        with Caller(two.grpc_port, two.key) as caller:
            told = caller.send("ServerMetadata", b"")
        assert told.code == "OK", told
        return str(told.metadata["x-request-id"])[:-8]

    assert len({gateway() for _ in range(32)}) == 2


def test_one_gateway_answers_while_another_is_dead_and_started_again(two: Platform) -> None:
    before = two.pid_of("gateways/gw1")
    two.kill("gateways/gw1")
    eventually(lambda: set(two.folders("gateways")) >= {"gateways/gw1"} and two.pid_of("gateways/gw1") != before, 20)
    eventually(lambda: len({gateway_that_answers(two) for _ in range(64)}) == 2, 20)


def test_a_revoked_key_is_refused_by_every_gateway(two: Platform) -> None:
    made = two.json("keys", "create", "app", "--role", "consumer")
    two.json("keys", "revoke", made["id"])

    def status() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", two.inference_port, timeout=10)
        connection.request("GET", "/v2", headers={"authorization": f"Bearer {made['token']}"})
        answer = connection.getresponse().status
        connection.close()
        return answer

    eventually(lambda: {status() for _ in range(16)} == {403}, 30)
    assert {status() for _ in range(32)} == {403}
