"""kill -9 at any moment, at the named points and at random: the next attempt ends with the same bytes."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from gristmill.core.types import DatasetRef, RunState
from tests.lab.rig import Rig, events, finish, result, start

EVERYTHING_ON: dict[str, Any] = {
    "task": "image-classification",
    "architecture": {"name": "cnn", "channels": [4, 8]},
    "schedule": {"name": "one-cycle"},
    "regularisation": {"dropout": 0.2, "mixup": 0.3, "ema": 0.9, "clip_norm": 1.0, "l1": 1e-5},
    "augmentation": {"flip": True, "shift": 1, "erase": 2},
    "training": {"epochs": 6, "batch_size": 32, "accumulate": 2, "seed": 3, "early_stopping": {"patience": 3}},
}
POINTS = ["before-save", "in-mid-save", "before-rename", "after-save"]


def weights(folder: Path) -> bytes:
    return (folder / "bundle" / "weights" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(rig: Rig, digits: DatasetRef) -> Path:
    folder = rig.prepare("undisturbed", digits, EVERYTHING_ON, checkpoint_every_s=1000.0)
    found = finish(folder)
    assert found is not None
    assert (found.state, found.error) == (RunState.succeeded, None)
    return folder


@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_each_point_of_a_save(rig: Rig, digits: DatasetRef, undisturbed: Path, point: str) -> None:
    folder = rig.prepare(f"died-{point}", digits, EVERYTHING_ON)
    assert finish(folder, f"checkpoint.{point}:2") is None
    found = finish(rig.prepare(f"died-{point}", digits, EVERYTHING_ON, attempt=2))
    assert found is not None
    assert found.error is None
    assert found.metrics == result_of(undisturbed)
    assert weights(folder) == weights(undisturbed)


def test_kill_9_at_random_moments(rig: Rig, digits: DatasetRef, undisturbed: Path) -> None:
    folder = rig.prepare("killed", digits, EVERYTHING_ON)
    chance = random.Random(11)
    for attempt in range(2, 6):
        process = start(folder)
        seen = len(events(folder))
        while process.poll() is None and not any(event.kind == "metric" for event in events(folder)[seen:]):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.wait()
        rig.prepare("killed", digits, EVERYTHING_ON, attempt=attempt)
    assert finish(folder) is not None
    assert weights(folder) == weights(undisturbed)


def test_a_cancelled_run_saves_where_it_stands_and_goes_on_from_there(
    rig: Rig, digits: DatasetRef, undisturbed: Path
) -> None:
    folder = rig.prepare("cancelled", digits, EVERYTHING_ON)
    process = start(folder)
    while not any(event.kind == "metric" for event in events(folder)):
        time.sleep(0.005)
    process.terminate()
    assert process.wait(20) == 0
    found = result(folder)
    assert found is not None
    if found.state is RunState.succeeded:
        pytest.skip("the run was faster than the signal")
    assert found.state is RunState.cancelled
    finish(rig.prepare("cancelled", digits, EVERYTHING_ON, attempt=2))
    assert weights(folder) == weights(undisturbed)


def result_of(folder: Path) -> dict[str, float]:
    found = result(folder)
    assert found is not None
    return found.metrics
