import hashlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from tests.conftest import write_recipe
from tests.running import Platform, eventually

LONG = {"epochs": 500, "batch_size": 8, "seed": 3}


def test_kill_9_of_a_run_at_random_moments_resumes_to_the_same_weights(wine_platform: Platform, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "long.yaml", name="wine-long", training=LONG)
    undisturbed = wine_platform.json("train", str(recipe), "--watch")
    run = wine_platform.json("train", str(recipe))["id"]
    chance = random.Random(5)
    deaths = sum(_killed(wine_platform, run, chance.uniform(0.0, 0.8)) for _ in range(2))
    resumed = eventually(lambda: _ended(wine_platform, run), 90)
    assert deaths >= 1, "the run ended before it could be killed"
    assert (resumed["state"], resumed["error"]) == ("succeeded", None)
    assert resumed["attempt"] == deaths + 1
    assert _weights(wine_platform, run) == _weights(wine_platform, undisturbed["id"])
    assert resumed["metrics"]["train/loss"] == undisturbed["metrics"]["train/loss"]


def _killed(running: Platform, run: str, after_s: float) -> bool:
    """Kill the run's living attempt some time after it has made a step; False when its result was written first."""
    attempt = running.client().runs.get(run)["attempt"]
    eventually(lambda: _ended(running, run) or _stepping(running, run, attempt), 40)
    time.sleep(after_s)
    try:
        os.kill(running.pid_of(f"runs/{run}"), signal.SIGKILL)
    except (AssertionError, ProcessLookupError):
        return False
    eventually(lambda: _ended(running, run) or running.client().runs.get(run)["attempt"] > attempt, 30)
    return bool(running.client().runs.get(run)["attempt"] > attempt)


def _stepping(running: Platform, run: str, attempt: int) -> bool:
    document = running.client().runs.get(run)
    return (
        document["attempt"] == attempt
        and document["progress"].get("attempt", attempt) == attempt
        and bool(document["progress"].get("step"))
    )


def _ended(running: Platform, run: str) -> dict[str, Any] | None:
    document = running.client().runs.get(run)
    return document if document["state"] in ("succeeded", "failed") else None


def _weights(running: Platform, run: str) -> str:
    files = sorted((running.home / "runs" / run / "bundle" / "weights").iterdir())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
