"""gRPC is the same gateway behind another door: keys, limits, deadlines, books and errors as over REST."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import grpc
import numpy as np
import pytest
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from gristmill.core.routes import KeyLimits
from gristmill.core.types import GrpcServer
from gristmill.serving.gateway.rpc import open_inference_pb2 as messages
from tests.running import free_port
from tests.serving.rig import Rig, eventually, make_bundle, rig
from tests.serving.rpc import SERVICE, Caller, raw_request, typed_request

ROWS = [[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, 0.0, 0.0]]
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
HEALTH = "/grpc.health.v1.Health/Check"


@pytest.fixture(scope="module", params=get_args(GrpcServer))
def grpc_server(request: pytest.FixtureRequest) -> GrpcServer:
    """Each test of this file is of both."""
    server: GrpcServer = request.param
    return server


@pytest.fixture(scope="module")
def caller(served: Rig) -> Iterator[Caller]:
    with Caller(served.grpc_port, served.key) as made:
        yield made


def test_only_health_answers_without_a_key(served: Rig) -> None:
    methods = [method.name for method in messages.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods]
    open_to_all = {"ServerLive", "ServerReady"}
    with Caller(served.grpc_port, None) as stranger:
        refused = {name: stranger.send(name, b"").code for name in methods if not name.startswith("ModelStream")}
        assert refused == {name: "OK" if name in open_to_all else "UNAUTHENTICATED" for name in refused}
        assert stranger.send("NoSuchMethod", b"").code == "UNAUTHENTICATED"
        assert stranger.send(HEALTH, b"").code == "OK"
        for method in (REFLECTION, f"/{SERVICE}/ModelStreamInfer"):
            with pytest.raises(grpc.RpcError, match="An API key is needed"):
                stranger.stream(method, [b""])
    wrong = served.key[:-1] + ("A" if served.key[-1] != "A" else "B")
    with Caller(served.grpc_port, wrong) as typo:
        assert typo.infer(raw_request(ROWS)).code == "UNAUTHENTICATED"


def test_a_key_may_come_as_x_api_key_and_serves_its_own_tenant_only(served: Rig) -> None:
    key = (("x-api-key", served.key),)
    with Caller(served.grpc_port, None) as caller:
        assert caller.infer(raw_request(ROWS), metadata=key).predictions() == [10.0, 0.5]
        others = caller.infer(raw_request(ROWS, "other"), metadata=key)
        assert (others.code, others.says) == ("NOT_FOUND", "There is no model 'other' here.")


def test_an_answer_names_its_request_and_its_model_and_stands_in_the_journal_once(served: Rig, caller: Caller) -> None:
    request = raw_request(ROWS)
    told = caller.infer(request)
    assert told.metadata["x-gristmill-model"] == "tiny@1"
    (record,) = [one for one in served.records() if one.id == told.metadata["x-request-id"]]
    assert (record.status, record.items, record.endpoint) == (200, 2, "tiny")
    assert (record.bytes_in, record.bytes_out) == (request.ByteSize(), len(told.body))
    named = caller.infer(request, metadata=(("x-request-id", "mine-7"),))
    assert named.metadata["x-request-id"] == "mine-7"


@pytest.mark.parametrize(
    ("request_sent", "code", "says"),
    [
        (raw_request(ROWS, "nobody"), "NOT_FOUND", "no model 'nobody'"),
        (raw_request(ROWS, name="colour"), "INVALID_ARGUMENT", "no input 'colour'"),
        (raw_request(ROWS, datatype="FP64"), "INVALID_ARGUMENT", "64 bytes, but 32 came"),
        (raw_request(ROWS, shape=(2**31, 2**31)), "INVALID_ARGUMENT", "more than the request's bytes can hold"),
        (raw_request(ROWS, shape=(-2, -4)), "INVALID_ARGUMENT", "negative dimension"),
        (raw_request(ROWS, shape=(4, 2)), "INVALID_ARGUMENT", "expected shape [-1, 4], got [4, 2]"),
        (raw_request([[np.nan] * 4]), "INVALID_ARGUMENT", "expected finite numbers"),
        (raw_request(ROWS, contents={"fp32_contents": [1]}), "INVALID_ARGUMENT", "came twice"),
        (typed_request({"fp32_contents": [1, 2, 3]}, (1, 4)), "INVALID_ARGUMENT", "means 4 values, but 3 came"),
        (typed_request({"fp32_contents": [1]}, (2**40, 4)), "INVALID_ARGUMENT", "but 1 came"),
        (typed_request({"fp64_contents": [1, 2, 3, 4]}, (1, 4)), "INVALID_ARGUMENT", "belongs into fp32_contents"),
        (typed_request({}, (1, 4), datatype="FP16"), "INVALID_ARGUMENT", "raw_input_contents only"),
        (messages.ModelInferRequest(model_name="tiny"), "INVALID_ARGUMENT", "missing: expected 'features'."),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(
    caller: Caller, request_sent: messages.ModelInferRequest, code: str, says: str
) -> None:
    told = caller.infer(request_sent)
    assert (told.code, says in told.says) == (code, True), told


def test_a_refusal_names_its_request_and_the_model_that_refused(caller: Caller) -> None:
    told = caller.infer(raw_request(ROWS, name="colour"), metadata=(("x-request-id", "mine-8"),))
    assert (told.metadata["x-request-id"], told.metadata["x-gristmill-model"]) == ("mine-8", "tiny@1")
    nobody = caller.infer(raw_request(ROWS, "nobody"))
    assert "x-gristmill-model" not in nobody.metadata
    assert nobody.metadata["x-request-id"]


def test_typed_contents_are_tensors_too(caller: Caller) -> None:
    flat = [value for row in ROWS for value in row]
    assert caller.infer(typed_request({"fp32_contents": flat}, (2, 4))).predictions() == [10.0, 0.5]


def test_an_output_that_is_not_there_is_named(caller: Caller) -> None:
    request = raw_request(ROWS)
    request.outputs.add(name="colour")
    told = caller.infer(request)
    assert (told.code, "no output 'colour'" in told.says) == ("INVALID_ARGUMENT", True)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_larger_than_a_body_may_be_is_refused_as_it_comes_and_as_it_inflates(
    caller: Caller, compression: grpc.Compression
) -> None:
    told = caller.infer(raw_request(np.zeros((2**17, 4))), compression=compression)
    assert told.code == "RESOURCE_EXHAUSTED"
    assert caller.infer(raw_request(ROWS)).code == "OK"


def test_reflection_tells_the_services_and_their_messages(caller: Caller) -> None:
    def ask(**asked: Any) -> reflection_pb2.ServerReflectionResponse:
        (answer,) = caller.stream(REFLECTION, [reflection_pb2.ServerReflectionRequest(**asked).SerializeToString()])
        return reflection_pb2.ServerReflectionResponse.FromString(answer)

    services = [one.name for one in ask(list_services="").list_services_response.service]
    assert services == ["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", SERVICE]
    for service in services:
        assert ask(file_containing_symbol=service).HasField("file_descriptor_response")
    assert caller.send("NoSuchMethod", b"").code == "UNIMPLEMENTED"  # clients try another version of reflection then


def test_a_stream_is_answered_in_its_order_and_goes_on_after_an_error(caller: Caller) -> None:
    sent = [raw_request([[float(number)] * 4], "tiny" if number % 7 else "nobody") for number in range(200)]
    for number, request in enumerate(sent):
        request.id = str(number)
    answers = caller.stream(f"/{SERVICE}/ModelStreamInfer", [request.SerializeToString() for request in sent])
    told = [messages.ModelStreamInferResponse.FromString(answer) for answer in answers]
    assert len(told) == len(sent)
    for number, answer in enumerate(told):
        if number % 7:
            raw = answer.infer_response.raw_output_contents[0]
            assert (answer.infer_response.id, np.frombuffer(raw, np.float32)) == (str(number), [4.0 * number])
        else:
            assert answer.error_message == "There is no model 'nobody' here."


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, grpc_server: GrpcServer) -> Iterator[Rig]:
    """An endpoint that takes 0.3 s; keys with limits."""
    folder = tmp_path_factory.mktemp("slow")
    bundle = make_bundle(folder / "bundle", seconds=0.3)
    gateway = {"grpc_port": free_port(), "grpc_server": grpc_server, "client_idle_timeout_s": 1.0}
    with rig(folder, free_port(), **gateway) as made:
        made.serve("tiny", ("tiny@1", bundle, 100, [made.add_worker(bundle)]))
        made.push()
        made.start_gateway()
        made.wait_ready()
        eventually(lambda: made.get("/v2/models/tiny/ready").status == 200, 30)
        yield made


def test_a_clients_deadline_is_ours(slow: Rig) -> None:
    with Caller(slow.grpc_port, slow.key) as caller:
        assert caller.infer(raw_request(ROWS), timeout=10).code == "OK"
        assert caller.infer(raw_request(ROWS), timeout=0.1).code == "DEADLINE_EXCEEDED"
        impatient = raw_request(ROWS)
        impatient.parameters["timeout"].int64_param = 100_000
        told = caller.infer(impatient)
        assert (told.code, "eadline" in told.says) == ("DEADLINE_EXCEEDED", True)


def test_limits_of_a_key_hold_over_rest_and_grpc_together(slow: Rig) -> None:
    key = slow.add_key(limits=KeyLimits(requests_per_minute=2))
    slow.push()
    with Caller(slow.grpc_port, key) as caller:
        assert slow.infer(ROWS, key=key).status == 200
        assert caller.infer(raw_request(ROWS)).code == "OK"
        told = caller.infer(raw_request(ROWS))
    assert (told.code, told.metadata["x-gristmill-error"]) == ("RESOURCE_EXHAUSTED", "rate_limited")
    assert 0 < int(told.metadata["retry-after-ms"]) <= 30_000


def test_clients_that_leave_take_their_work_with_them(slow: Rig) -> None:
    sent, metadata = raw_request(ROWS).SerializeToString(), (("authorization", f"Bearer {slow.key}"),)
    with grpc.insecure_channel(f"127.0.0.1:{slow.grpc_port}") as channel:
        infer, stream = (f"/{SERVICE}/{name}" for name in ("ModelInfer", "ModelStreamInfer"))
        calls = [channel.unary_unary(infer).future(sent, metadata=metadata) for _ in range(30)]
        streams = [channel.stream_stream(stream)(iter([sent] * 5), metadata=metadata) for _ in range(3)]
        eventually(lambda: in_flight(slow) > 30, 30)
        for call in [*calls, *streams]:
            call.cancel()
        eventually(lambda: in_flight(slow) == 0, 30)
    assert slow.infer(ROWS).status == 200
    assert "Traceback" not in (slow.gateway_folder / "log.txt").read_text()


def in_flight(served: Rig) -> int:
    metrics = served.get("/metrics").body.decode()
    return int(metrics.partition('gristmill_in_flight{tenant="t",endpoint="tiny",version="tiny@1"} ')[2].split()[0])


@pytest.mark.parametrize("sent", [b"", b"PRI * HT", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"])
def test_a_connection_that_does_not_become_grpc_is_closed(slow: Rig, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", slow.grpc_port), timeout=20) as connection:
        connection.sendall(sent)
        while connection.recv(4096):
            pass  # what the server has to say before it closes: a TimeoutError here fails the test


TENSORS = some.builds(
    messages.ModelInferRequest.InferInputTensor,
    name=some.sampled_from(["features", "colour", "", "a" * 300]),
    datatype=some.sampled_from(["FP32", "FP64", "BYTES", "BF16", "INT8", "WORDS", ""]),
    shape=some.lists(some.integers(-(2**63), 2**63 - 1) | some.integers(0, 5), max_size=10),
    contents=some.none()
    | some.builds(
        messages.InferTensorContents,
        fp32_contents=some.lists(some.floats(width=32), max_size=9),
        int_contents=some.lists(some.integers(-(2**31), 2**31 - 1), max_size=3),
        bytes_contents=some.lists(some.binary(max_size=5), max_size=3),
    ),
)
REQUESTS = some.builds(
    messages.ModelInferRequest,
    model_name=some.sampled_from(["tiny", "kinds", "nobody", ""]),
    model_version=some.sampled_from(["", "1", "x"]),
    inputs=some.lists(TENSORS, max_size=3),
    raw_input_contents=some.lists(some.binary(max_size=40), max_size=3),
)
REFUSED = {"INVALID_ARGUMENT", "NOT_FOUND"}
QUICKLY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@QUICKLY
@given(request=REQUESTS)
def test_no_tensors_whatever_they_claim_break_the_gateway(caller: Caller, request: messages.ModelInferRequest) -> None:
    assert caller.infer(request).code in REFUSED | {"OK"}


@QUICKLY
@given(message=some.binary(max_size=200))
def test_no_bytes_whatever_they_are_break_the_gateway(caller: Caller, message: bytes) -> None:
    assert caller.send("ModelInfer", message).code in REFUSED


@settings(max_examples=60, deadline=None)
@given(rows=some.lists(some.lists(some.floats(-1e3, 1e3, width=32), min_size=4, max_size=4), min_size=1, max_size=9))
def test_raw_and_typed_tensors_are_answered_alike_and_as_over_rest(
    served: Rig, caller: Caller, rows: list[list[float]]
) -> None:
    flat = [value for row in rows for value in row]
    raw = caller.infer(raw_request(rows)).predictions()
    assert raw == caller.infer(typed_request({"fp32_contents": flat}, (len(rows), 4))).predictions()
    assert raw == served.infer(rows).json["outputs"][0]["data"]


def test_a_stopping_gateway_answers_what_is_under_way_over_grpc(tmp_path: Path, grpc_server: GrpcServer) -> None:
    bundle = make_bundle(tmp_path / "bundle", seconds=0.5)
    with rig(tmp_path, free_port(), grpc_port=free_port(), grpc_server=grpc_server) as made:
        made.serve("tiny", ("tiny@1", bundle, 100, [made.add_worker(bundle)]))
        made.push()
        made.start_gateway()
        made.wait_ready()
        channel = grpc.insecure_channel(f"127.0.0.1:{made.grpc_port}")
        metadata = (("authorization", f"Bearer {made.key}"),)
        under_way = channel.unary_unary(f"/{SERVICE}/ModelInfer").future(
            raw_request(ROWS).SerializeToString(), metadata=metadata, timeout=30
        )
        eventually(lambda: in_flight(made) == 1, 30)
        assert made.process is not None
        made.process.terminate()
        assert messages.ModelInferResponse.FromString(under_way.result()).model_name == "tiny"
        assert made.process.wait(30) == 0
        channel.close()


def test_without_grpcio_rest_is_served_and_the_log_says_what_lacks(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    with rig(tmp_path, free_port(), grpc_port=free_port()) as made:
        absent = tmp_path / "packages" / "grpc.py"  # stands before the installed one, as none would
        absent.write_text("raise ModuleNotFoundError(\"No module named 'grpc'\", name='grpc')")
        made.serve("tiny", ("tiny@1", bundle, 100, [made.add_worker(bundle)]))
        made.push()
        made.start_gateway()
        made.wait_ready()
        assert made.infer(ROWS).status == 200
        assert "grpc is not installed; install gristmill[grpc]" in (made.gateway_folder / "log.txt").read_text()
