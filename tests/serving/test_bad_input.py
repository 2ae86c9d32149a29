import json
from typing import Any

import pytest

from gristmill.core.keys import mint
from tests.serving.rig import Rig, predictions, tensor

GOOD = [[1.0, 2.0, 3.0, 4.0]]
INFER = "/v2/models/tiny/infer"


def changed(**fields: Any) -> dict[str, Any]:
    body = tensor(GOOD)
    body["inputs"][0] |= fields
    return body


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "not valid JSON"),
        (b"[]", 400, "not an inference request"),
        (b"\xff\xfe", 400, "JSON"),
        (b"", 400, "JSON"),
        ({"inputs": []}, 422, "'features' is missing"),
        (changed(name="colour"), 422, "no input 'colour'"),
        (changed(datatype="FP64"), 422, "expected datatype FP32, got FP64"),
        (changed(datatype="FLOAT"), 400, "no datatype 'FLOAT'"),
        (changed(shape=[1, 5], data=[1, 2, 3, 4, 5]), 422, "expected shape [-1, 4], got [1, 5]"),
        (changed(shape=[-1, 4]), 400, "negative dimension"),
        (changed(shape=[2**31, 2**31]), 400, "more than the request's bytes can hold"),
        (changed(shape=[2, 4]), 400, "nesting"),
        (changed(shape=[0, 4], data=[]), 422, "at least 1 row"),
        (changed(data=[[1, 2, 3, "x"]]), 400, "Expected `float`"),
        (changed(data=[[1, 2, 3, 1e39]]), 400, "does not fit into FP32"),
        (changed(data=[[1, 2], [3, 4]]), 400, "nesting"),
        (changed(data=None), 400, "must be a list"),
        ({**tensor(GOOD), "parameters": {"timeout": "soon"}}, 400, "microseconds"),
        ({**tensor(GOOD), "outputs": [{"name": "nothing"}]}, 422, "no output 'nothing'"),
        ({"inputs": [*tensor(GOOD)["inputs"], *tensor(GOOD)["inputs"]]}, 400, "came twice"),
    ],
)
def test_a_bad_body_is_told_what_is_wrong_and_the_server_stays_up(
    served: Rig, body: Any, status: int, says: str
) -> None:
    answer = served.request("POST", INFER, body, content_type="application/json")
    assert answer.status == status, answer
    assert says in answer.json["error"]
    assert predictions(served.infer(GOOD)) == [10.0]


def test_a_huge_shape_with_twelve_bytes_is_refused_in_milliseconds(served: Rig) -> None:
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "features",
                    "datatype": "FP32",
                    "shape": [2**31, 2**31],
                    "parameters": {"binary_data_size": 12},
                }
            ]
        }
    ).encode()
    answer = served.request("POST", INFER, head + b"x" * 12, inference_header_content_length=str(len(head)))
    assert answer.status == 400


@pytest.mark.parametrize(("size", "sent"), [(16, 12), (12, 12), (16, 20), (-1, 16), (10**12, 16)])
def test_a_truncated_or_overlong_binary_tensor_is_refused(served: Rig, size: int, sent: int) -> None:
    parameters = {"binary_data_size": size}
    inputs = [{"name": "features", "datatype": "FP32", "shape": [1, 4], "parameters": parameters}]
    head = json.dumps({"inputs": inputs}).encode()
    answer = served.request("POST", INFER, head + b"\0" * sent, inference_header_content_length=str(len(head)))
    assert answer.status == 400, answer


def test_not_a_number_in_binary_data_is_named_with_its_place(served: Rig) -> None:
    import struct

    body = struct.pack("<4f", 1, 2, float("nan"), 4)
    answer = served.request("POST", INFER, body, inference_header_content_length="0")
    assert answer.status == 422
    assert "got nan at [0, 2]" in answer.json["error"]


def test_a_body_over_the_limit_is_refused_by_its_declared_length_and_when_inflated(served: Rig) -> None:
    import gzip

    assert served.request("POST", INFER, b" " * (2**20 + 1)).status == 413
    bomb = gzip.compress(b" " * 2**24)
    assert served.request("POST", INFER, bomb, content_encoding="gzip").status == 413


@pytest.mark.parametrize("content_type", ["application/x-pickle", "text/html", "application/x-www-form-urlencoded"])
def test_a_content_type_that_cannot_be_read_is_415(served: Rig, content_type: str) -> None:
    for path in (INFER, "/v1/models/tiny:predict", "/models/kinds"):
        assert served.request("POST", path, b"\x80\x04.", content_type=content_type).status == 415


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"inputs": []}', b'{"inputs": [[1]]}', b'{"inputs": "word"}'])
def test_a_broken_task_payload_fails_alone(served: Rig, body: bytes) -> None:
    answer = served.request("POST", "/models/kinds", body, content_type="application/json")
    assert answer.status in (400, 422)
    assert served.request("POST", "/models/kinds", {"inputs": GOOD}).status == 200


PATHS = ["/v2", "/v2/models/tiny", INFER, "/v2/repository/index", "/v1/models", "/models/kinds", "/metrics", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
def test_nothing_but_health_answers_without_a_key(served: Rig, method: str, path: str) -> None:
    answer = served.request(method, path, b"{}", key=None)
    assert answer.status == 401
    assert "error" in answer.json


def test_health_answers_without_a_key(served: Rig) -> None:
    for path in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
        assert served.get(path, key=None).status == 200


def test_wrong_keys_are_refused_and_near_ones_are_distinct(served: Rig) -> None:
    assert served.get("/v2", key="nonsense").status == 401
    assert served.get("/v2", key=served.key[:-1] + ("a" if served.key[-1] != "a" else "b")).status == 401
    assert served.get("/v2", key=mint().token).status == 403


def test_another_tenants_model_is_as_unknown_as_none(served: Rig) -> None:
    theirs = served.infer(GOOD, "other")
    unknown = served.infer(GOOD, "otter")
    assert theirs.status == unknown.status == 404
    assert theirs.body.replace(b"other", b"otter") == unknown.body


def test_random_bytes_never_take_the_server_down(served: Rig) -> None:
    import random
    import socket

    source = random.Random(4)
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(source.randbytes(200))
    for _ in range(200):
        body = bytearray(json.dumps(tensor(GOOD)).encode())
        for _ in range(3):
            body[source.randrange(len(body))] = source.randrange(256)
        answer = served.request("POST", INFER, bytes(body), content_type="application/json")
        assert answer.status in (200, 400, 422), answer
    assert predictions(served.infer(GOOD)) == [10.0]


def test_a_body_nested_thousands_deep_is_malformed(served: Rig) -> None:
    for path in (INFER, "/models/tiny", "/v1/models/tiny:predict"):
        for body in ('{"a":' * 5_000, "[" * 100_000, '{"inputs":' + "[" * 100_000):
            assert served.request("POST", path, body, content_type="application/json").status in (400, 422), path


def test_every_answer_names_its_request_and_a_refusal_the_model_that_refused(served: Rig) -> None:
    for path in ("/healthz", "/readyz", "/v2/nothing", "/v2/models/none"):
        assert served.get(path).headers["x-request-id"], path
    refused = served.request("POST", INFER, changed(datatype="FP64"))
    assert (refused.status, refused.headers["x-gristmill-model"]) == (422, "tiny@1")
    assert "x-gristmill-model" not in served.get("/v2/models/none").headers
