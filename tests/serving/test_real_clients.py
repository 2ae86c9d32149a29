"""The unmodified clients that people already have."""

import asyncio

import numpy as np
import pytest

from tests.serving.rig import Rig

ROWS = np.array([[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, 0.0, 0.0]], np.float32)


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_infers_in_binary_and_in_json(served: Rig, binary: bool) -> None:
    triton = pytest.importorskip("tritonclient.http")
    client = triton.InferenceServerClient(f"127.0.0.1:{served.port}")
    headers = {"authorization": f"Bearer {served.key}"}
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny", headers=headers)
    assert client.get_model_metadata("tiny", headers=headers)["inputs"][0]["datatype"] == "FP32"
    tensor = triton.InferInput("features", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)
    outputs = None if binary else [triton.InferRequestedOutput("prediction", binary_data=False)]
    result = client.infer("tiny", [tensor], outputs=outputs, headers=headers, request_id="7")
    assert result.as_numpy("prediction").ravel().tolist() == [10.0, 0.5]
    assert result.get_response()["id"] == "7"


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_tritonclient_compresses_both_ways(served: Rig, compression: str) -> None:
    triton = pytest.importorskip("tritonclient.http")
    client = triton.InferenceServerClient(f"127.0.0.1:{served.port}")
    tensor = triton.InferInput("features", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS)
    result = client.infer(
        "tiny",
        [tensor],
        headers={"authorization": f"Bearer {served.key}"},
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    assert result.as_numpy("prediction").ravel().tolist() == [10.0, 0.5]


def test_tritonclient_reads_the_error(served: Rig) -> None:
    triton = pytest.importorskip("tritonclient.http")
    client = triton.InferenceServerClient(f"127.0.0.1:{served.port}")
    tensor = triton.InferInput("colour", [1], "FP32")
    tensor.set_data_from_numpy(np.ones(1, np.float32))
    with pytest.raises(triton.InferenceServerException, match="no input 'colour'"):
        client.infer("tiny", [tensor], headers={"authorization": f"Bearer {served.key}"})


def test_kserve_infers_over_v2_and_predicts_over_v1(served: Rig) -> None:
    kserve = pytest.importorskip("kserve")
    headers = {"authorization": f"Bearer {served.key}"}

    async def call() -> None:
        v2 = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2", timeout=10))
        tensor = kserve.InferInput("features", list(ROWS.shape), "FP32")
        tensor.set_data_from_numpy(ROWS, binary_data=True)
        request = kserve.InferRequest(model_name="tiny", infer_inputs=[tensor])
        base = f"http://127.0.0.1:{served.port}"
        answer = await v2.infer(base, request, model_name="tiny", headers=dict(headers))
        assert answer.outputs[0].as_numpy().ravel().tolist() == [10.0, 0.5]
        v1 = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v1", timeout=10))
        predicted = await v1.infer(base, {"instances": ROWS.tolist()}, model_name="tiny", headers=dict(headers))
        assert predicted["predictions"] == [[10.0], [0.5]]

    asyncio.run(call())


def test_huggingface_hub_classifies_a_table(served: Rig) -> None:
    hub = pytest.importorskip("huggingface_hub")
    client = hub.InferenceClient(model=f"http://127.0.0.1:{served.port}/models/kinds", token=served.key)
    table = {f"f{i}": [str(row[i]) for row in ROWS.tolist()] for i in range(4)}
    assert client.tabular_classification(table) == ["class-2", "class-2"]
