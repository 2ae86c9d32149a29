"""Idempotency keys: one key, one execution, one answer; the same key with another body is refused."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.running import free_port
from tests.serving.rig import Rig, eventually, make_bundle, predictions, rig, tensor

KEY = "idempotency_key"


def test_fifty_at_once_with_one_key_are_computed_once_and_answered_alike(served: Rig) -> None:
    rows = [[3.0, 1.0, 4.0, 1.5]]
    before = len(served.records())
    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: served.infer(rows, **{KEY: "order-1"}), range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert len({answer.headers["x-request-id"] for answer in answers}) == 50
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 49
    assert len(served.records()) - before == 1


def test_the_same_key_with_another_body_or_path_is_refused(served: Rig) -> None:
    assert predictions(served.infer([[1.0, 1.0, 1.0, 1.0]], **{KEY: "order-2"})) == [4.0]
    for answer in (
        served.infer([[1.0, 1.0, 1.0, 2.0]], **{KEY: "order-2"}),
        served.infer([[1.0, 1.0, 1.0, 1.0]], "kinds", **{KEY: "order-2"}),
    ):
        assert (answer.status, "another request" in answer.json["error"]) == (422, True)


def test_the_key_of_one_caller_says_nothing_to_another(served: Rig) -> None:
    other = served.add_key()
    served.push()
    assert served.infer([[1.0, 0.0, 0.0, 0.0]], **{KEY: "order-3"}).status == 200
    answer = served.infer([[2.0, 0.0, 0.0, 0.0]], key=other, **{KEY: "order-3"})
    assert (predictions(answer), "idempotent-replayed" in answer.headers) == ([2.0], False)


def test_what_failed_is_tried_again_and_a_key_that_is_none_is_malformed(served: Rig) -> None:
    failed = [served.infer([[667.0, 0, 0, 0]], **{KEY: "order-4"}) for _ in range(2)]
    assert [answer.status for answer in failed] == [500, 500]
    assert failed[0].headers["x-should-retry"] == "false"  # OpenAI's clients would send it twice more by themselves
    assert served.infer([[1.0, 0, 0, 0]], **{KEY: "x" * 300}).status == 400
    assert served.infer([[1.0, 0, 0, 0]], **{KEY: ""}).status == 400


# Several gateways on one machine


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Rig]]:
    """Two gateways before one replica that takes a second."""
    folder = tmp_path_factory.mktemp("pair")
    slow = make_bundle(folder / "slow", seconds=1.0)
    with rig(folder, free_port()) as one:
        one.serve("tiny", ("tiny@1", slow, 1, [one.add_worker(slow)]))
        one.push()
        one.start_gateway()
        one.wait_ready()
        with one.second_gateway(free_port()) as other:
            yield one, other


def test_fifty_at_once_over_two_gateways_are_computed_once_and_answered_alike(pair: tuple[Rig, Rig]) -> None:
    before = sum(len(one.records()) for one in pair)
    turns = itertools.islice(itertools.cycle(pair), 50)
    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda one: one.infer([[3.0, 1.0, 4.0, 1.5]], **{KEY: "over-two"}), turns))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 49
    assert sum(len(one.records()) for one in pair) - before == 1


def test_another_gateway_refuses_the_key_for_another_body_also_while_the_first_is_computed(
    pair: tuple[Rig, Rig],
) -> None:
    one, other = pair
    with ThreadPoolExecutor(1) as client:
        first = client.submit(one.infer, [[1.0, 0, 0, 0]], **{KEY: "one-body"})
        eventually(lambda: list((one.folder / "kept" / "answered").glob("*.claim")), 30)
        assert other.infer([[2.0, 0, 0, 0]], **{KEY: "one-body"}).status == 422
        assert not first.done(), "it waited to be refused"
        assert first.result().status == 200
    assert other.infer([[2.0, 0, 0, 0]], **{KEY: "one-body"}).status == 422


def test_a_gateway_that_dies_while_it_computes_leaves_the_key_to_the_next(pair: tuple[Rig, Rig]) -> None:
    one, other = pair
    with other.second_gateway(free_port()) as dying:
        connection = http.client.HTTPConnection("127.0.0.1", dying.port, timeout=30)
        headers = {"authorization": f"Bearer {one.key}", "content-type": "application/json", "idempotency-key": "left"}
        connection.request("POST", "/v2/models/tiny/infer", json.dumps(tensor([[5.0, 0, 0, 0]])), headers)
        eventually(lambda: list((one.folder / "kept" / "answered").glob("*.claim")), 30)
        assert dying.process is not None
        dying.process.kill()
        answer = other.infer([[5.0, 0, 0, 0]], **{KEY: "left"})
        connection.close()
    assert (predictions(answer), "idempotent-replayed" in answer.headers) == ([5.0], False)
    again = one.infer([[5.0, 0, 0, 0]], **{KEY: "left"})
    assert (again.body, again.headers.get("idempotent-replayed")) == (answer.body, "true")
