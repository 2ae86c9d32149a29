"""`tritonclient` and `kserve` over gRPC, unmodified.

Each in a process of its own: both claim the names of package `inference` in protobuf's one pool of a process.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import get_args

import pytest

from gristmill.core.types import GrpcServer
from tests.serving.rig import Rig

TRITON = """
import queue, sys
import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import model_config_pb2

port, key = sys.argv[1:]
client = triton.InferenceServerClient(f"127.0.0.1:{port}")
headers = {"authorization": f"Bearer {key}"}
rows = np.array([[1, 2, 3, 4], [0.5, 0, 0, 0]], np.float32)
tensor = triton.InferInput("features", list(rows.shape), "FP32")
tensor.set_data_from_numpy(rows)

assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready("tiny", headers=headers)
assert client.get_server_metadata(headers=headers).name == "gristmill"
metadata = client.get_model_metadata("tiny", headers=headers, as_json=True)
assert metadata["inputs"] == [{"name": "features", "datatype": "FP32", "shape": ["-1", "4"]}], metadata
index = client.get_model_repository_index(headers=headers, as_json=True)
assert {"name": "org/kinds", "version": "2", "state": "READY"} in index["models"], index
config = client.get_model_config("tiny", headers=headers).config
assert (config.max_batch_size, config.input[0].name, list(config.input[0].dims)) == (64, "features", [4]), config
assert model_config_pb2.DataType.Name(config.input[0].data_type) == "TYPE_FP32"
client.load_model("tiny", headers=headers)  # it is served
for name in ("tiny", "nobody"):
    try:
        client.unload_model(name, headers=headers)
    except triton.InferenceServerException as error:
        assert error.status() == {"tiny": "StatusCode.PERMISSION_DENIED", "nobody": "StatusCode.NOT_FOUND"}[name], error
    else:
        raise AssertionError("unloaded by a client")

def counted(*name):
    entries = client.get_inference_statistics(*name, headers=headers).model_stats
    return {(entry.name, entry.version): entry.inference_stats.success.count for entry in entries}

before = counted("tiny", "1")
client.infer("tiny", [tensor], headers=headers)
assert counted("tiny", "1") == {("tiny", "1"): before["tiny", "1"] + 1}
assert {("org/kinds", "2"), ("tiny", "1")} < counted().keys()

for compression in (None, "gzip", "deflate"):
    result = client.infer("tiny", [tensor], request_id="7", headers=headers, compression_algorithm=compression)
    assert result.as_numpy("prediction").ravel().tolist() == [10.0, 0.5]
    assert (result.get_response().id, result.get_response().model_version) == ("7", "1")
best = triton.InferRequestedOutput("probabilities", class_count=1)
result = client.infer("kinds", [tensor], model_version="2", outputs=[best], headers=headers)
assert [item.split(b":")[1:] for item in result.as_numpy("probabilities").ravel()] == [[b"2", b"class-2"]] * 2
try:
    client.infer("tiny", [tensor], model_version="9", headers=headers)
except triton.InferenceServerException as error:
    assert (error.status(), "serves no version" in error.message()) == ("StatusCode.NOT_FOUND", True), error
else:
    raise AssertionError("a version that is not served was answered")

answers = queue.Queue()
client.start_stream(lambda result, error: answers.put((result, error)), headers=headers)
for number in range(20):
    client.async_stream_infer("tiny" if number % 5 else "nobody", [tensor], request_id=str(number))
for number in range(20):
    result, error = answers.get(timeout=30)
    if number % 5:
        assert result.get_response().id == str(number)
        assert result.as_numpy("prediction").ravel().tolist() == [10.0, 0.5]
    else:
        assert "There is no model 'nobody' here." in error.message(), error
client.stop_stream()
client.close()  # grpcio 1.85 may wait for ever in the channel's finaliser when the interpreter ends
"""

KSERVE = """
import asyncio, sys
import grpc, kserve
import numpy as np

port, key = sys.argv[1:]
headers = (("authorization", f"Bearer {key}"),)
rows = np.array([[1, 2, 3, 4], [0.5, 0, 0, 0]], np.float32)

def request(raw):
    if raw:
        tensor = kserve.InferInput("features", list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows, binary_data=True)
    else:
        tensor = kserve.InferInput("features", list(rows.shape), "FP32", data=rows.ravel().tolist())
    return kserve.InferRequest(model_name="tiny", infer_inputs=[tensor], request_id="k")

async def call():
    client = kserve.InferenceGRPCClient(f"127.0.0.1:{port}")
    assert await client.is_server_live() and await client.is_server_ready()
    assert await client.is_model_ready("tiny", headers=headers)
    for raw in (False, True):
        answer = await client.infer(request(raw), headers=headers)
        assert answer.outputs[0].as_numpy().ravel().tolist() == [10.0, 0.5]
        assert answer.id == "k"
    try:
        await client.infer(request(True))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
    else:
        raise AssertionError("answered without a key")
    await client.close()

asyncio.run(call())
"""


@pytest.fixture(scope="module", params=get_args(GrpcServer))
def grpc_server(request: pytest.FixtureRequest) -> GrpcServer:
    """Before each."""
    server: GrpcServer = request.param
    return server


@pytest.mark.parametrize(("package", "script"), [("tritonclient", TRITON), ("kserve", KSERVE)])
def test_a_real_client_infers_over_grpc(served: Rig, package: str, script: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    ended = subprocess.run(
        [sys.executable, "-c", script, str(served.grpc_port), served.key], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
