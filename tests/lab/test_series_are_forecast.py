"""A series through the lab: trained, killed, resumed, packaged, evaluated beside others; what cannot be is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gristmill.bundles.digests import verify
from gristmill.bundles.replay import replay, write_golden
from gristmill.core.errors import Unprocessable
from gristmill.core.types import DatasetRef, Resources, RunKind, RunResult, RunState, Signature, VersionRef
from gristmill.lab.loading import open_version
from gristmill.tasks.series import FORECAST, HISTORY
from tests import waves
from tests.lab.rig import Rig, finish, result

SHARED = Path(__file__).parents[3] / "shared" / "data" / "tabular"
RECIPE: dict[str, Any] = {
    "task": "time-series-forecasting",
    "preprocessing": {"window": 24, "horizon": 6, "season": waves.PERIOD},
    "architecture": {"name": "lstm", "hidden": 16},
    "optimiser": {"learning_rate": 0.01},
    "training": {"epochs": 20, "batch_size": 32, "seed": 1},
}


@pytest.fixture(scope="session")
def series(rig: Rig) -> DatasetRef:
    return rig.dataset(waves.write(rig.folder / "waves.csv"), "time-series-forecasting", "load")


def trained(rig: Rig, name: str, dataset: DatasetRef, recipe: dict[str, Any], **changes: Any) -> Path:
    folder = rig.prepare(name, dataset, recipe, **changes)
    found = finish(folder)
    assert found is not None
    assert (found.error, found.state) == (None, RunState.succeeded), (folder / "log.txt").read_text()[-2000:]
    return folder


def metrics(folder: Path) -> dict[str, float]:
    found = result(folder)
    assert found is not None
    return found.metrics


def version(folder: Path, name: str) -> VersionRef:
    found = result(folder)
    assert found is not None
    return VersionRef(model=name, version=1, digest=found.bundle_digest or "", folder=str(folder / "bundle"))


def evaluated(rig: Rig, name: str, dataset: DatasetRef, one: VersionRef, other: VersionRef | None) -> RunResult:
    folder = rig.prepare(name, dataset, RECIPE, kind=RunKind.evaluate, version=one, against=other)
    found = finish(folder)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def waves_lstm(rig: Rig, series: DatasetRef) -> Path:
    return trained(rig, "waves-lstm", series, RECIPE)


def test_an_lstm_beats_the_naive_forecast_of_last_season(waves_lstm: Path) -> None:
    found = metrics(waves_lstm)
    assert found["test/mase"] < 0.85 * found["test/naive_mase"]
    assert found["test/mae"] < found["test/rmse"]
    assert {"validation/mase", "validation/naive_mase", "train/loss"} <= found.keys()


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_a_gru_forecasts_two_series_with_every_loss(rig: Rig, series: DatasetRef, loss: str) -> None:
    recipe = RECIPE | {"architecture": {"name": "gru", "hidden": 16, "layers": 2, "dropout": 0.05},
                       "loss": {"name": loss}, "data": {"dataset": "waves", "target": ["load", "heat"]}}  # fmt: skip
    folder = trained(rig, f"waves-{loss}", series, recipe)
    found = metrics(folder)
    assert found["test/mase"] < found["test/naive_mase"]
    bundle = folder / "bundle"
    manifest = verify(bundle)
    assert manifest.signature.outputs[0].shape == (-1, 6, 2)
    given = waves.values()[None, -24:].astype(np.float32)
    forecast = open_version("waves", bundle, manifest, Resources()).outputs({HISTORY: given})[FORECAST]
    truth = waves.values(waves.ROWS + 6)
    assert forecast.shape == (1, 6, 2)
    # in the data's units, each series in its own: the sine's swing is 3 around a trend near 10, the other's 2 around 0
    assert np.abs(forecast[0, :, 1]).max() < 3.5
    assert np.abs(forecast[0] - truth[waves.ROWS :]).max() < 2.0


def test_a_bundle_replays_its_forecasts_and_its_card_tells_them_by_step(waves_lstm: Path) -> None:
    bundle = waves_lstm / "bundle"
    manifest = verify(bundle)
    assert (manifest.signature.features, manifest.signature.target) == (("load", "heat"), "load")
    replay(bundle, manifest.signature, open_version("waves", bundle, manifest, Resources()).outputs)
    card = (bundle / "card.md").read_text()
    assert "| naive_mase |" in card
    assert "| step 6 |" in card
    assert "train windows" in card


def test_a_run_that_was_killed_ends_with_the_same_weights(rig: Rig, series: DatasetRef) -> None:
    recipe = RECIPE | {"architecture": {"name": "lstm", "hidden": 16, "layers": 2}, "schedule": {"name": "one-cycle"},
                       "regularisation": {"dropout": 0.2, "ema": 0.9, "clip_norm": 1.0}}  # fmt: skip
    whole = trained(rig, "waves-whole", series, recipe, checkpoint_every_s=1000.0)
    assert finish(rig.prepare("waves-killed", series, recipe), "checkpoint.after-save:3") is None
    again = trained(rig, "waves-killed", series, recipe, attempt=2)
    weights = [(folder / "bundle" / "weights" / "model.safetensors").read_bytes() for folder in (whole, again)]
    assert weights[0] == weights[1]
    assert metrics(whole) == metrics(again)


def test_a_share_of_the_windows_is_the_newest_and_the_yardstick_stays(rig: Rig, series: DatasetRef, waves_lstm: Path) -> None:  # fmt: skip  # noqa: E501
    data = {"dataset": "waves", "fraction": 0.5}
    found = metrics(trained(rig, "waves-half", series, RECIPE | {"data": data}))
    assert found["train/rows"] == round(metrics(waves_lstm)["train/rows"] / 2)
    assert found["test/naive_mase"] == metrics(waves_lstm)["test/naive_mase"]


def test_versions_with_other_windows_are_compared_on_the_same_targets(
    rig: Rig, series: DatasetRef, waves_lstm: Path
) -> None:
    weak = trained(rig, "waves-weak", series, RECIPE | {
        "preprocessing": {"window": 12, "horizon": 6, "series": ["load"]}, "training": {"epochs": 1, "batch_size": 64},
    })  # fmt: skip
    assert verify(weak / "bundle").signature.inputs[0].shape == (-1, 12, 1), "it sees the series that it chose"
    found = evaluated(rig, "waves-compare", series, version(waves_lstm, "lstm"), version(weak, "weak"))
    assert found.error is None
    assert found.metrics["mase"] == pytest.approx(metrics(waves_lstm)["test/mase"], rel=1e-4)
    assert found.report["verdict"].startswith("lstm@1 is better than weak@1: mase -")
    longer = trained(rig, "waves-longer", series, RECIPE | {"preprocessing": {"window": 24, "horizon": 8}})
    refused = evaluated(rig, "waves-refused", series, version(waves_lstm, "lstm"), version(longer, "longer"))
    assert refused.error == "longer@1 and lstm@1 cannot be compared: their targets or horizons differ."


def test_a_dataset_with_other_series_is_refused_and_one_with_more_is_taken(
    rig: Rig, series: DatasetRef, waves_lstm: Path
) -> None:
    lines = (rig.folder / "waves.csv").read_text().splitlines()
    (rig.folder / "more.csv").write_text("\n".join([f"{lines[0]},rain", *(f"{line},{n}" for n, line in enumerate(lines[1:]))]))  # fmt: skip  # noqa: E501
    (rig.folder / "fewer.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    more = rig.dataset(rig.folder / "more.csv", "time-series-forecasting", "load")
    fewer = rig.dataset(rig.folder / "fewer.csv", "time-series-forecasting")
    found = evaluated(rig, "waves-more", more, version(waves_lstm, "lstm"), None)
    assert found.metrics["mase"] == pytest.approx(metrics(waves_lstm)["test/mase"], rel=1e-4)
    refused = evaluated(rig, "waves-fewer", fewer, version(waves_lstm, "lstm"), None)
    assert refused.error == "fewer@1 has no series 'heat': it has load."


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"preprocessing": {"window": 400, "horizon": 6}}, "has 336 training rows, and a window of 400"),
        ({"preprocessing": {"window": 24, "horizon": 80}}, "has 72 validation rows, fewer than the horizon of 80"),
        ({"architecture": {"name": "lstm", "layrs": 2}}, "has no option 'layrs'"),
        ({"data": {"dataset": "waves", "target": "rain"}}, "no series 'rain': there are load, heat"),
    ],
)
def test_a_run_that_cannot_be_says_why_in_one_sentence(
    rig: Rig, series: DatasetRef, changes: dict[str, Any], says: str
) -> None:
    found = finish(rig.prepare(f"waves-wrong-{len(says)}", series, RECIPE | changes))
    assert found is not None
    assert found.state is RunState.failed
    assert says in (found.error or "")
    assert "\n" not in (found.error or "")


def test_a_name_with_a_comma_is_one_series(rig: Rig) -> None:
    lines = (waves.write(rig.folder / "plain.csv").read_text()).splitlines()
    (rig.folder / "celsius.csv").write_text("\n".join(['time,"load, °C",heat', *lines[1:]]))
    dataset = rig.dataset(rig.folder / "celsius.csv", "time-series-forecasting", "load, °C")
    folder = trained(rig, "celsius", dataset, RECIPE | {"training": {"epochs": 1}})
    assert verify(folder / "bundle").signature.target == "load, °C"
    found = evaluated(rig, "celsius-evaluated", dataset, version(folder, "celsius"), None)
    assert found.error is None
    assert len(found.report["slices"]) == 6


def test_forecasts_in_millions_are_replayed_but_for_their_rounding(tmp_path: Path) -> None:
    given = {HISTORY: np.zeros((2, 24, 2), np.float32)}
    values = np.asarray([[2e6, 0.5], [-1e6, -0.25]], np.float32)  # some cross zero
    signature = Signature("time-series-forecasting", (), ())
    write_golden(tmp_path, given, {FORECAST: values})
    replay(tmp_path, signature, lambda _: {FORECAST: values + np.float32(1.0)})
    with pytest.raises(Unprocessable, match="differs by up to 1e"):
        replay(tmp_path, signature, lambda _: {FORECAST: values + np.float32(1000.0)})


def test_rows_in_no_order_are_not_forecast(rig: Rig, diabetes: DatasetRef) -> None:
    found = finish(rig.prepare("diabetes-series", diabetes, RECIPE))
    assert found is not None
    assert found.error == (
        "The rows of diabetes@1 are not in the order of time: add it with --task time-series-forecasting."
    )


def test_the_airlines_passengers_by_the_month(rig: Rig) -> None:
    source = SHARED / "jbrownlee" / "airline-passengers.csv"
    if not source.exists():
        pytest.skip("the airline passengers are not among the shared data here")
    dataset = rig.dataset(source, "time-series-forecasting")
    assert (dataset.manifest["target"], dataset.manifest["step"]) == ("Passengers", "1 month")
    recipe = RECIPE | {"training": {"epochs": 60, "batch_size": 16}}
    found = metrics(trained(rig, "airline", dataset, recipe))
    assert found["test/mase"] < found["test/naive_mase"], "last year's month is beaten"


def test_etth1s_oil_temperature(rig: Rig) -> None:
    source = SHARED / "ETTh1" / "ETTh1.csv"
    if not source.exists():
        pytest.skip("ETTh1 is not among the shared data here")
    dataset = rig.dataset(source, "time-series-forecasting", "OT")
    assert (dataset.manifest["rows"], dataset.manifest["step"]) == (17420, "1 hour")
    recipe = RECIPE | {"preprocessing": {"window": 48, "horizon": 24, "season": 24},
                       "data": {"dataset": "ETTh1", "rows": 3000}, "training": {"epochs": 2}}  # fmt: skip
    found = metrics(trained(rig, "etth1", dataset, recipe))
    # by hand: the mean error of yesterday's values over all windows of the last 15 %, and in the first 70 %
    values = np.loadtxt(source, delimiter=",", skiprows=1, usecols=7)
    train, test = values[:12194], np.arange(14807, 17420 - 24 + 1)
    naive = np.mean([np.abs(values[start - 24 : start] - values[start : start + 24]).mean() for start in test])
    assert found["test/naive_mae"] == pytest.approx(naive, rel=1e-5)
    assert found["test/naive_mase"] == pytest.approx(naive / np.abs(train[24:] - train[:-24]).mean(), rel=1e-5)
    assert found["test/mase"] < found["test/naive_mase"]
