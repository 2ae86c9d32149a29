import struct

import numpy as np
import pytest

from tests.serving.rig import Rig, predictions, tensor

ROWS = [[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, 0.0, 0.0]]


def test_an_inference_answers_with_the_rows_of_the_request(served: Rig) -> None:
    answer = served.infer(ROWS)
    assert predictions(answer) == [10.0, 0.5]
    assert answer.json["model_name"] == "tiny"
    assert answer.json["model_version"] == "1"
    assert answer.json["outputs"][0]["shape"] == [2, 1]
    assert answer.headers["x-gristmill-model"] == "tiny@1"


def test_flat_data_is_read_as_nested_data_is(served: Rig) -> None:
    body = tensor(ROWS)
    body["inputs"][0]["data"] = [value for row in ROWS for value in row]
    assert predictions(served.request("POST", "/v2/models/tiny/infer", body)) == [10.0, 0.5]


def test_the_id_is_echoed_and_so_is_a_sane_request_id(served: Rig) -> None:
    answer = served.request("POST", "/v2/models/tiny/infer", {"id": 'a"b', **tensor(ROWS)}, x_request_id="mine-1")
    assert answer.json["id"] == 'a"b'
    assert answer.headers["x-request-id"] == "mine-1"
    strange = served.infer(ROWS, x_request_id="<script>")
    assert strange.headers["x-request-id"].startswith("req_")


def test_without_a_request_id_of_the_clients_it_is_the_usage_records_own(served: Rig) -> None:
    answer = served.infer(ROWS)
    (record,) = [record for record in served.records() if record.id == answer.headers["x-request-id"]]
    assert (record.endpoint, record.model, record.status, record.items) == ("tiny", "tiny@1", 200, 2)
    assert record.compute_us > 0


def test_two_requests_with_one_id_of_the_clients_are_two_usage_records(served: Rig) -> None:
    before = len(served.records())
    for _ in range(2):
        served.infer(ROWS, x_request_id="the-same")
    records = served.records()
    assert len(records) == before + 2
    assert len({record.id for record in records}) == len(records)


def binary_request(rows: np.ndarray, **parameters: object) -> tuple[bytes, str]:
    data = rows.astype("<f4").tobytes()
    inputs = [
        {"name": "features", "datatype": "FP32", "shape": rows.shape, "parameters": {"binary_data_size": len(data)}}
    ]
    import json

    head = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
    return head + data, str(len(head))


def test_binary_tensors_go_both_ways(served: Rig) -> None:
    body, length = binary_request(np.array(ROWS), binary_data_output=True)
    answer = served.request("POST", "/v2/models/tiny/infer", body, inference_header_content_length=length)
    head = int(answer.headers["inference-header-content-length"])
    assert struct.unpack("<2f", answer.body[head:]) == (10.0, 0.5)


def test_a_head_of_length_zero_is_a_raw_request(served: Rig) -> None:
    body = np.array(ROWS, "<f4").tobytes()
    answer = served.request("POST", "/v2/models/tiny/infer", body, inference_header_content_length="0")
    head = int(answer.headers["inference-header-content-length"])
    assert struct.unpack("<2f", answer.body[head:]) == (10.0, 0.5)


def test_classification_gives_the_best_classes_with_their_labels(served: Rig) -> None:
    outputs = [{"name": "probabilities", "parameters": {"classification": 2, "binary_data": False}}]
    answer = served.request("POST", "/v2/models/kinds/infer", {**tensor(ROWS), "outputs": outputs})
    first, second, *_ = answer.json["outputs"][0]["data"]
    assert first.endswith(":2:class-2")
    assert second.endswith(":1:class-1")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2", {"name": "gristmill"}),
        ("/v2/models/tiny", {"name": "tiny", "versions": ["1"]}),
        ("/v2/models/org/kinds", {"name": "org/kinds", "versions": ["2"]}),
        ("/v2/models/tiny/versions/1", {"name": "tiny"}),
        ("/v2/models/tiny/ready", {"name": "tiny", "ready": True}),
        ("/v2/models/tiny/config", {"max_batch_size": 64}),
    ],
)
def test_models_describe_themselves(served: Rig, path: str, expected: dict[str, object]) -> None:
    answer = served.get(path)
    assert answer.status == 200
    assert expected.items() <= answer.json.items()


def test_counters_are_told_of_a_version_a_model_or_all(served: Rig) -> None:
    def told(path: str) -> dict[str, int]:
        entries = served.get(path).json["model_stats"]
        return {entry["name"]: entry["inference_stats"]["success"]["count"] for entry in entries}

    before = told("/v2/models/tiny/stats")["tiny"]
    assert served.infer(ROWS).status == 200
    assert told("/v2/models/tiny/stats") == told("/v2/models/tiny/versions/1/stats") == {"tiny": before + 1}
    assert told("/v2/models/stats").keys() == {"tiny", "kinds", "org/kinds"}
    assert served.get("/v2/models/tiny/versions/9/stats").status == 404


def test_a_name_with_a_slash_and_a_version_is_found(served: Rig) -> None:
    assert served.infer(ROWS, "org/kinds").status == 200
    assert served.request("POST", "/v2/models/org/kinds/versions/2/infer", tensor(ROWS)).status == 200
    assert served.request("POST", "/v2/models/org/kinds/versions/9/infer", tensor(ROWS)).status == 404


def test_the_repository_lists_what_the_key_may_call(served: Rig) -> None:
    answer = served.request("POST", "/v2/repository/index", {})
    assert {entry["name"] for entry in answer.json} == {"tiny", "kinds", "org/kinds"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_bodies_may_be_compressed_both_ways(served: Rig, encoding: str) -> None:
    import json
    import zlib

    compress = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    body = compress.compress(json.dumps(tensor(ROWS)).encode()) + compress.flush()
    answer = served.request("POST", "/v2/models/tiny/infer", body, content_encoding=encoding, accept_encoding=encoding)
    assert answer.headers["content-encoding"] == encoding
    assert json.loads(zlib.decompress(answer.body, 47))["outputs"][0]["data"] == [10.0, 0.5]


def test_kserve_v1_predicts_rows_and_records(served: Rig) -> None:
    path = "/v1/models/tiny:predict"
    assert served.request("POST", path, {"instances": ROWS}).json == {"predictions": [[10.0], [0.5]]}
    record = {"f3": 1.0, "f0": 2.0, "f1": 0, "f2": 0}
    assert served.request("POST", path, {"instances": [record]}).json == {"predictions": [[3.0]]}


def test_the_hugging_face_task_answers_in_its_own_shape(served: Rig) -> None:
    assert served.request("POST", "/models/kinds", {"inputs": ROWS}).json == ["class-2", "class-2"]
    records = [dict(zip(["f0", "f1", "f2", "f3"], row, strict=True)) for row in ROWS]
    assert served.request("POST", "/models/kinds", {"inputs": records}).json == ["class-2", "class-2"]


def test_metrics_are_prometheus_text_of_the_keys_own_tenant(served: Rig) -> None:
    served.infer(ROWS)
    text = served.get("/metrics").body.decode()
    assert 'gristmill_requests_total{tenant="t",endpoint="tiny",version="tiny@1",code="200"}' in text
    assert 'endpoint="other"' not in text
