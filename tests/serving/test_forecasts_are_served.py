"""A series from its CSV to a served, explained forecast: every verb and dialect, on a real platform."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests import waves
from tests.conftest import endpoint_state
from tests.running import Platform, eventually

WINDOW, HORIZON = 24, 6
RECIPE: dict[str, Any] = {
    "name": "waves",
    "task": "time-series-forecasting",
    "data": {"dataset": "waves"},
    "preprocessing": {"window": WINDOW, "horizon": HORIZON, "season": waves.PERIOD},
    "architecture": {"name": "lstm", "hidden": 16},
    "optimiser": {"learning_rate": 0.01},
    "training": {"epochs": 12, "batch_size": 32, "seed": 1},
}
HISTORY = waves.values()[-WINDOW:].round(4).tolist()
GRPC = """
import sys
import numpy as np
import tritonclient.grpc as triton

address, key, rows = sys.argv[1:]
client, headers = triton.InferenceServerClient(address), {"authorization": f"Bearer {key}"}
history = np.asarray([eval(rows)], np.float32)
tensor = triton.InferInput("history", list(history.shape), "FP32")
tensor.set_data_from_numpy(history)
print(client.infer("waves", [tensor], headers=headers).as_numpy("forecast").tolist())
short = triton.InferInput("history", [1, 5, 2], "FP32")
short.set_data_from_numpy(history[:, :5])
history[0, 3, 1] = np.nan
tensor.set_data_from_numpy(history)
for wrong in (short, tensor):
    try:
        client.infer("waves", [wrong], headers=headers)
    except triton.InferenceServerException as error:
        print(error.status(), error.message())
client.close()
"""


@pytest.fixture(scope="module")
def served(wine_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """waves@1 behind the endpoint `waves`; waves@2 has a longer window and forecasts both series."""
    folder = tmp_path_factory.mktemp("waves")
    source = waves.write(folder / "waves.csv")
    wine_platform.cli("data", "add", "waves", str(source), "--task", "time-series-forecasting", "--target", "load",
                      "--time", "time")  # fmt: skip
    (folder / "waves.yaml").write_text(yaml.safe_dump(RECIPE))
    made = wine_platform.json("train", str(folder / "waves.yaml"), "--watch")
    assert made["made"] == "waves@1"
    wine_platform.cli("deploy", "waves@1", "--endpoint", "waves")
    eventually(lambda: endpoint_state(wine_platform, "waves") == "ready", 60, "the endpoint is not ready")
    yield wine_platform
    wine_platform.cli("endpoints", "delete", "waves")


@pytest.fixture(scope="module")
def forecast(served: Platform) -> list[float]:
    """What the SDK answers of HISTORY."""
    (answer,) = served.client().predict("waves", HISTORY)
    return list(answer)


def test_the_forecast_follows_the_series_in_its_own_units(forecast: list[float]) -> None:
    truth = waves.values(waves.ROWS + HORIZON)[waves.ROWS :, 0]
    assert len(forecast) == HORIZON
    assert np.abs(np.asarray(forecast) - truth).max() < 1.5


def test_the_command_line_tells_it_step_by_step(served: Platform, tmp_path: Path, forecast: list[float]) -> None:
    path = tmp_path / "history.json"
    path.write_text(json.dumps({"load": [row[0] for row in HISTORY], "heat": [row[1] for row in HISTORY]}))
    lines = served.cli("predict", "waves", str(path)).stdout.split("\n")
    assert lines[0].split() == ["STEP", "VALUE"]
    assert [line.split() for line in lines[1 : HORIZON + 1]] == [
        [str(step + 1), f"{value:.4g}"] for step, value in enumerate(forecast)
    ]
    assert served.json("predict", "waves", str(path)) == [pytest.approx(forecast)]


def test_tritonclient_and_kserve_forecast_over_rest(served: Platform, forecast: list[float]) -> None:
    triton, kserve = pytest.importorskip("tritonclient.http"), pytest.importorskip("kserve")
    headers = {"authorization": f"Bearer {served.key}"}
    history = np.asarray([HISTORY, HISTORY], np.float32)
    client = triton.InferenceServerClient(served.inference_url.removeprefix("http://"))
    metadata = client.get_model_metadata("waves", headers=headers)
    assert metadata["inputs"] == [{"name": "history", "datatype": "FP32", "shape": [-1, WINDOW, 2]}]
    assert metadata["outputs"] == [{"name": "forecast", "datatype": "FP32", "shape": [-1, HORIZON]}]
    for binary in (True, False):
        tensor = triton.InferInput("history", list(history.shape), "FP32")
        tensor.set_data_from_numpy(history, binary_data=binary)
        found = client.infer("waves", [tensor], headers=dict(headers)).as_numpy("forecast")
        np.testing.assert_allclose(found, [forecast, forecast], rtol=1e-4, atol=1e-4)

    async def call() -> Any:
        v1 = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v1", timeout=10))
        named = {"heat": [row[1] for row in HISTORY], "load": [row[0] for row in HISTORY]}
        body = {"instances": [HISTORY, named]}
        return await v1.infer(served.inference_url, body, model_name="waves", headers=dict(headers))

    np.testing.assert_allclose(asyncio.run(call())["predictions"], [forecast, forecast], rtol=1e-4, atol=1e-4)


def test_tritonclient_forecasts_over_grpc(served: Platform, forecast: list[float]) -> None:
    if find_spec("tritonclient") is None:
        pytest.skip("tritonclient is not installed")
    command = [sys.executable, "-c", GRPC, f"127.0.0.1:{served.grpc_port}", served.key, repr(HISTORY)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    answer, *refusals = ended.stdout.strip().split("\n")
    np.testing.assert_allclose(json.loads(answer), [forecast], rtol=1e-4, atol=1e-4)
    assert all(line.startswith("StatusCode.INVALID_ARGUMENT") for line in refusals)
    assert "expected shape [-1, 24, 2], got [1, 5, 2]" in refusals[0]
    assert "expected finite numbers, got nan at [0, 3, 1]" in refusals[1]


@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion", "shapley"])
def test_a_forecast_is_explained_by_its_history(served: Platform, method: str, tmp_path: Path) -> None:
    with served.client() as client:
        answer = client.explain("waves", HISTORY, method=method, target=2, render="png")
    (found,) = answer["explanations"]
    assert (found["method"], found["label"], found["target"]) == (method, "load in 3 steps", 2)
    assert found["names"][-2:] == ["load[-1]", "heat[-1]"]
    assert len(found["values"]) == len(found["names"]) == WINDOW * 2
    assert found["picture"]
    # what the explanation says matters most moves the forecast more than an order by chance
    assert found["deletion_auc"] < found["random_deletion_auc"]
    assert found["insertion_auc"] > found["random_insertion_auc"]
    if method == "integrated-gradients":
        assert abs(found["delta"]) < 0.05


def test_the_command_line_explains_the_next_step(served: Platform, tmp_path: Path) -> None:
    picture = tmp_path / "why.png"
    told = served.cli("explain", "waves", json.dumps(HISTORY), "-o", str(picture)).stdout
    assert "load in 1 step" in told
    assert "load[-1]" in told
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (HISTORY[:5], "The history should have 24 steps, and has 5."),
        ([row[:1] for row in HISTORY], "Step 1 of the history should have 2 values (load, heat), and has 1."),
        ([*HISTORY[:23], [None, 1.0]], "'load' in step 24 should be a finite number, and is None."),
        ({"load": [1.0] * 24}, "The history lacks the series 'heat': expected are load, heat."),
    ],
)
def test_a_history_that_does_not_fit_is_422_in_one_sentence(served: Platform, inputs: Any, says: str) -> None:
    import httpx2

    headers = {"authorization": f"Bearer {served.key}"}
    answer = httpx2.post(f"{served.inference_url}/models/waves", json={"inputs": inputs}, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (422, says)
    told = served.cli("predict", "waves", json.dumps(inputs), check=False)
    assert (told.returncode, told.stderr.strip()) == (1, says)


@pytest.mark.parametrize(
    ("shape", "data", "status", "says"),
    [
        ([1, 5, 2], HISTORY[:5], 422, "expected shape [-1, 24, 2], got [1, 5, 2]"),
        ([1, 24, 1], [row[:1] for row in HISTORY], 422, "expected shape [-1, 24, 2], got [1, 24, 1]"),
        ([1, 24, 2], HISTORY[:5], 400, "means 48 values"),
        ([1, 24, 2], float("nan"), 400, "not valid JSON"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(
    served: Platform, shape: list[int], data: Any, status: int, says: str
) -> None:
    import httpx2

    flat = [value for row in data for value in row] if isinstance(data, list) else [data]
    body = {"inputs": [{"name": "history", "datatype": "FP32", "shape": shape, "data": flat}]}
    headers = {"authorization": f"Bearer {served.key}"}
    answer = httpx2.post(f"{served.inference_url}/v2/models/waves/infer", content=json.dumps(body), headers=headers)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("preprocessing.horizon=0", "preprocessing.horizon should be a whole number of 1 or more, and is 0"),
        ("preprocessing={window: 24}", "lacks preprocessing.horizon"),
        ("preprocessing.season=30", "season is 30, longer than the window of 24"),
        ("architecture.name=bilstm", "bilstm is for text-classification, not time-series-forecasting"),
        ("loss.name=focal", "focal does not fit time-series-forecasting"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_told_before_a_run(
    served: Platform, tmp_path: Path, change: str, says: str
) -> None:
    (tmp_path / "waves.yaml").write_text(yaml.safe_dump(RECIPE))
    told = served.cli("train", str(tmp_path / "waves.yaml"), "--set", change, check=False)
    assert told.returncode == 2
    assert says in told.stderr
    assert told.stderr.count("\n") == 1


def test_versions_stand_side_by_side_and_are_tested_in_pairs(served: Platform, tmp_path: Path) -> None:
    (tmp_path / "waves.yaml").write_text(yaml.safe_dump(RECIPE | {"architecture": {"name": "gru", "hidden": 16}}))
    change = ("--set", "preprocessing.window=30", "--set", "training.epochs=2")
    assert served.json("train", str(tmp_path / "waves.yaml"), "--watch", *change)["made"] == "waves@2"
    table = served.cli("models", "compare", "waves@1", "waves@2").stdout
    assert all(f"test/{name}" in table for name in ("mae", "rmse", "mase", "naive_mae", "naive_mase"))
    assert "mase" in served.cli("models", "show", "waves").stdout
    told = served.cli("evaluate", "waves@1", "--data", "waves@1", "--against", "waves@2").stdout
    assert "percentile bootstrap of blocks of" in told
    assert "NAIVE MASE" in told
    assert "waves@1 is better than waves@2: mase -" in told
    assert "1 hour" in served.cli("data", "profile", "waves").stdout
