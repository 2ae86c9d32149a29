"""Idempotency keys: one key, one execution, one answer; the same key with another body is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.serving.rig import Rig, predictions

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
    assert [served.infer([[667.0, 0, 0, 0]], **{KEY: "order-4"}).status for _ in range(2)] == [500, 500]
    assert served.infer([[1.0, 0, 0, 0]], **{KEY: "x" * 300}).status == 400
    assert served.infer([[1.0, 0, 0, 0]], **{KEY: ""}).status == 400
