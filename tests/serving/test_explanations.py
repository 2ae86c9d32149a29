"""`/v2/models/{m}/explain` through the gateway: the same request as infer, each row's contributions as the answer."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import Any

import numpy as np
import pytest

from tests.serving.rig import Rig, Worker, make_bundle, tensor

ROWS = [[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, -1.0, 0.0]]
EXPLAIN = "/v2/models/tiny/explain"


def contributions(explanations: list[dict[str, Any]]) -> list[list[float]]:
    return [[round(value, 4) for value in explanation["values"]] for explanation in explanations]


def test_contributions_to_a_sum_are_its_terms(served: Rig) -> None:
    answer = served.request("POST", EXPLAIN, tensor(ROWS) | {"id": "e1"})
    assert answer.status == 200, answer
    assert (answer.json["model_name"], answer.json["model_version"], answer.json["id"]) == ("tiny", "1", "e1")
    assert answer.headers["x-gristmill-model"] == "tiny@1"
    explanations = answer.json["explanations"]
    assert contributions(explanations) == ROWS
    assert explanations[0]["names"] == ["f0", "f1", "f2", "f3"]
    assert {explanation["method"] for explanation in explanations} == {"occlusion"}


def test_binary_tensors_are_explained_like_json(served: Rig) -> None:
    blob = np.array(ROWS, np.float32).tobytes()
    described = {"name": "features", "datatype": "FP32", "shape": [2, 4], "parameters": {"binary_data_size": len(blob)}}
    head = json.dumps({"inputs": [described]}).encode()
    answer = served.request("POST", EXPLAIN, head + blob, inference_header_content_length=str(len(head)))
    assert contributions(answer.json["explanations"]) == ROWS


def test_kserves_v1_form_is_answered_too(served: Rig) -> None:
    answer = served.request("POST", "/v1/models/tiny:explain", {"instances": ROWS})
    assert contributions(answer.json["explanations"]) == ROWS


def test_a_picture_comes_when_it_is_asked_for(served: Rig) -> None:
    pytest.importorskip("matplotlib")
    asked = tensor(ROWS[:1]) | {"parameters": {"render": "png"}}
    (explanation,) = served.request("POST", EXPLAIN, asked).json["explanations"]
    assert base64.b64decode(explanation["picture"]).startswith(b"\x89PNG")


def test_an_explanation_stands_in_the_books_as_one(served: Rig) -> None:
    answer = served.request("POST", EXPLAIN, tensor(ROWS))
    (record,) = [one for one in served.records() if one.id == answer.headers["x-request-id"]]
    assert (record.operation, record.items, record.status) == ("explain", 2, 200)
    assert record.compute_us > 0


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        (tensor([[1.0]]), 422, "expected shape [-1, 4], got [1, 1]"),
        (tensor(ROWS) | {"parameters": {"method": "tea-leaves"}}, 422, "tea-leaves"),
        (tensor(ROWS) | {"parameters": {"method": "integrated-gradients"}}, 422, "no gradients"),
        ({"inputs": []}, 422, "nput"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_sentence(
    served: Rig, asked: dict[str, Any], status: int, says: str
) -> None:
    answer = served.request("POST", EXPLAIN, asked)
    assert answer.status == status, answer
    assert says in answer.json["error"]


@pytest.fixture(scope="module")
def slow(served: Rig) -> Worker:
    """The one replica of the endpoint `slow`, which takes 0.1 s a call."""
    bundle = make_bundle(served.folder / "slow", seconds=0.1)
    worker = served.add_worker(bundle, "slow@1")
    served.serve("slow", ("slow@1", bundle, 100, [worker]))
    served.push()
    served.wait_ready()
    return worker


def test_predictions_are_answered_while_a_long_explanation_is_computed(served: Rig, slow: Worker) -> None:
    """Each of 20 rows takes three calls or more."""
    explained: list[int] = []
    asked = tensor(ROWS * 10)
    thread = threading.Thread(
        target=lambda: explained.append(served.request("POST", "/v2/models/slow/explain", asked).status)
    )
    thread.start()
    time.sleep(0.5)
    for _ in range(3):
        started = time.monotonic()
        answer = served.infer(ROWS[:1], endpoint="slow")
        assert (answer.status, time.monotonic() - started < 2.0) == (200, True), "it waited for the explanation"
    assert thread.is_alive(), "the explanation was too short to tell"
    thread.join(60)
    assert explained == [200]


def test_what_is_not_explained_by_its_deadline_is_told_and_left(served: Rig, slow: Worker) -> None:
    answer = served.request("POST", "/v2/models/slow/explain", tensor(ROWS * 20), x_request_timeout_ms="1000")
    assert answer.status == 504
    assert "allow it more time, or ask for fewer" in answer.json["error"]
    time.sleep(0.5)
    before = slow.ping()
    time.sleep(1.0)
    after = slow.ping()
    assert before is not None
    assert after is not None
    assert after.busy_total_s == before.busy_total_s, "it is still computed though nobody waits for it"


def test_a_model_of_another_tenant_cannot_be_explained(served: Rig) -> None:
    assert served.request("POST", "/v2/models/other/explain", tensor(ROWS)).status == 404
    assert served.request("POST", EXPLAIN, tensor(ROWS), key=None).status == 401
