"""Each framework trains, dies, resumes, serves and explains through the same doors, with the same arithmetic."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from torch import nn

from gristmill.frameworks.on_torch.augmentation import augmented
from gristmill.frameworks.on_torch.losses import build_loss
from gristmill.tasks.recipe import Augmentation, Loss
from tests import waves
from tests.frameworks import pictures
from tests.frameworks.exercise import FORECASTERS, LOSSES, TEXTS

Exercised = Callable[[str], dict[str, Any]]
both = pytest.mark.parametrize("framework", ["keras", "tensorflow"])


@both
def test_a_run_that_died_ends_with_the_same_weights(exercised: Exercised, framework: str) -> None:
    found = exercised(framework)["resumed"]
    assert found["died_at"] == 13, "the second of three epochs has steps 8 to 16"
    assert found["same_metrics"]
    assert all(found["same_weights"])
    assert len(found["same_weights"]) > 10
    told = [values for values in found["told"] if "validation/loss" in values]
    assert len(told) == 3
    assert {"train/loss", "validation/accuracy", "learning_rate"} <= told[-1].keys()


@both
def test_tables_are_learned(exercised: Exercised, framework: str) -> None:
    found = exercised(framework)["tables"]
    assert found["wine"] >= 0.9
    assert found["diabetes"] > 0.3


@pytest.mark.parametrize(
    ("framework", "architecture"),
    [("keras", "bilstm"), ("keras", "transformer"), *[("tensorflow", name) for name in TEXTS]],
)
def test_texts_are_learned_and_padding_never_matters(exercised: Exercised, framework: str, architecture: str) -> None:
    found = exercised(framework)["texts"][architecture]
    assert found["accuracy"] >= 0.9
    assert found["padding"] < 1e-5
    assert found["shape"]
    assert found["delta"] < 0.01, "the attributions do not sum to the score less the baseline's"


@both
def test_the_same_weights_in_pytorch_give_the_same_scores_and_captums_attributions(
    exercised: Exercised, framework: str
) -> None:
    found = exercised(framework)["tables"]
    module = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3))
    kernels = sorted((np.asarray(kernel, np.float32) for kernel in found["kernels"]), key=lambda kernel: -len(kernel.T))
    biases = sorted((np.asarray(bias, np.float32) for bias in found["biases"]), key=lambda bias: -len(bias))
    with torch.no_grad():
        for layer, kernel, bias in zip((module[0], module[2]), kernels, biases, strict=True):
            layer.weight.copy_(torch.from_numpy(kernel.T.copy()))
            layer.bias.copy_(torch.from_numpy(bias))
    x = torch.tensor(found["x"])
    np.testing.assert_allclose(module(x).detach().numpy(), found["scores"], atol=1e-4)
    method = IntegratedGradients(nn.Sequential(module, nn.Softmax(dim=1)))
    expected = method.attribute(x, target=torch.tensor([0, 1, 2, 0]), n_steps=50).numpy()
    np.testing.assert_allclose(found["attributions"], expected, atol=1e-4)
    assert max(map(abs, found["delta"])) < 0.01


@both
def test_every_loss_is_pytorchs(exercised: Exercised, framework: str) -> None:
    chance = np.random.default_rng(5)
    logits, y = chance.normal(size=(50, 4)).astype(np.float32), chance.integers(0, 4, 50)
    values = chance.normal(size=(50, 1)).astype(np.float32) * 3
    for name, options in LOSSES.items():
        loss = Loss(**options)
        classes = None if loss.name in ("mse", "mae", "huber") else 4
        targets = torch.from_numpy(y if classes else values[::-1, 0].copy())
        given = torch.from_numpy(logits if classes else values)
        expected = float(build_loss(loss, str(loss.name), targets, classes)(given, targets))
        assert exercised(framework)["losses"][name] == pytest.approx(expected, rel=1e-5), name


def test_augmented_images_are_mirrored_moved_and_blanked_in_torch() -> None:
    torch.manual_seed(0)
    images = torch.from_numpy(pictures.images())
    pictures.check(augmented(images, Augmentation(**pictures.WANTED)).numpy())
    assert augmented(images, Augmentation()) is images


@both
def test_augmented_images_are_mirrored_moved_and_blanked(exercised: Exercised, framework: str) -> None:
    pictures.check(np.asarray(exercised(framework)["augmented"], np.float32))


@both
def test_series_are_forecast_in_their_own_units(exercised: Exercised, framework: str) -> None:
    found = exercised(framework)["forecasts"]
    for architecture in FORECASTERS:
        assert found[architecture]["test/mase"] < 0.5 * found[architecture]["test/naive_mase"], architecture
    forecast, truth = np.asarray(found["forecast"]), waves.values(waves.ROWS + 6)[waves.ROWS :]
    assert forecast.shape == (1, 6, 2)
    assert np.abs(forecast[0] - truth).max() < 1.5, "the sines swing by 3 and 2, the first around a trend near 10"
    assert found["attributed"] == [1, waves.PERIOD, 2]
    assert found["delta"] < 0.01, "the attributions do not sum to the sixth value less the baseline's"


@both
def test_a_forecast_that_was_killed_ends_with_the_same_weights(exercised: Exercised, framework: str) -> None:
    assert exercised(framework)["forecasts"]["resumed"]


def test_every_framework_is_held_against_the_same_naive_forecast(exercised: Exercised) -> None:
    keras, tensorflow = (
        {name: value for name, value in exercised(framework)["forecasts"]["lstm"].items() if "naive" in name}
        for framework in ("keras", "tensorflow")
    )
    assert keras == tensorflow
    assert len(keras) == 4


@both
def test_the_loss_of_several_series_weighs_each_by_its_own_spread(exercised: Exercised, framework: str) -> None:
    chance = np.random.default_rng(5)
    _ = chance.normal(size=(50, 4)), chance.integers(0, 4, 50), chance.normal(size=(50, 1))
    series = (chance.normal(size=(50, 3, 2)).astype(np.float32) * [1, 9]).astype(np.float32)
    distance = np.abs(series[::-1] - series) / series.std(axis=(0, 1))
    huber = np.where(distance <= 0.5, distance**2 / 2, 0.5 * (distance - 0.25))
    for name, values in (("mse", distance**2), ("mae", distance), ("huber", huber)):
        assert exercised(framework)["losses"][f"{name} of series"] == pytest.approx(values.mean(), rel=1e-5), name
        targets, given = torch.from_numpy(series), torch.from_numpy(series[::-1].copy().reshape(50, 6))
        loss = build_loss(Loss(**LOSSES[name]), name, targets, None)
        assert float(loss(given, targets)) == pytest.approx(values.mean(), rel=1e-5), name


@both
def test_what_cannot_be_is_refused_by_name(exercised: Exercised, framework: str) -> None:
    found = exercised(framework)["refused"]
    assert "has no architecture 'resnet' for tabular-classification" in found["architecture"]
    assert "has no option 'hiden'" in found["option"]
    assert "does not go with tokens" in found["mixup"]
    assert "not finite" in found["infinite"]
    assert all("\n" not in message for message in found.values())


@both
def test_a_process_loads_no_framework_but_its_own(exercised: Exercised, framework: str) -> None:
    """It has trained, and served and explained what it trained."""
    assert not {"torch", "transformers", "onnxruntime", "captum", "sqlalchemy"} & set(exercised(framework)["loaded"])


def test_two_devices_share_each_step_and_end_where_one_does(exercised: Exercised) -> None:
    found = exercised("tensorflow")["several"]
    assert found["furthest"] < 1e-4
    assert found["losses"][0] == pytest.approx(found["losses"][1], abs=1e-5)
