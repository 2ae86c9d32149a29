import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gristmill.control import attempts, scheduler
from gristmill.control.platform import Platform
from gristmill.control.scheduler import Scheduler
from gristmill.core.errors import Conflict, NotFound, Unprocessable
from gristmill.registry import versions
from tests.control.rig import (
    BY,
    ENDED,
    ROOT,
    StandInEngine,
    add_dataset,
    open_platform,
    outbox,
    pid_of,
    state,
    submit,
    until,
)

TENANT = BY.tenant


def carry(platform: Platform, scheduler: Scheduler, run: str) -> dict[str, object]:
    until(scheduler.step, lambda: state(platform, run) in ENDED)
    return platform.run(TENANT, run)


def step_of(platform: Platform, run: str) -> int:
    return int(platform.run(TENANT, run)["progress"].get("step", 0))


def test_a_run_that_succeeds_makes_a_version_and_tells_the_books_what_it_used(platform: Platform) -> None:
    run = submit(platform)
    ended = carry(platform, Scheduler(platform, StandInEngine()), run)
    assert (ended["state"], ended["made"], ended["attempt"], ended["error"]) == ("succeeded", "wine@1", 1, None)
    assert ended["metrics"] == {"validation/loss": 0.5}
    (used,) = outbox(platform, "run.used")
    (made,) = outbox(platform, "version.made")
    assert (used.payload["run"], made.payload["run"]) == (run, run)


def test_a_killed_attempt_is_followed_by_one_that_resumes_and_both_are_costed(platform: Platform, home: Path) -> None:
    run = submit(platform, steps=60)
    parts = Scheduler(platform, StandInEngine())
    until(parts.step, lambda: step_of(platform, run) > 5)
    pid = pid_of(home / "runs" / run)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(parts.step, lambda: platform.run(TENANT, run)["attempt"] == 2)
    ended = carry(platform, parts, run)
    assert (ended["state"], ended["attempt"]) == ("succeeded", 2)
    events = platform.run_events(TENANT, run)["events"]
    steps = [event["step"] for event in events if event["kind"] == "checkpoint"]
    assert steps == sorted(steps), "the second attempt went on where the first was"
    assert [item.payload["attempt"] for item in outbox(platform, "run.used")] == [1, 2]


def test_a_run_that_dies_again_and_again_fails_with_a_sentence(platform: Platform) -> None:
    run = submit(platform, dies=True)
    ended = carry(platform, Scheduler(platform, StandInEngine()), run)
    assert (ended["state"], ended["attempt"]) == ("failed", attempts.MAX_DEATHS)
    assert "died 3 times in a row by signal 9" in str(ended["error"])


def test_a_cancelled_run_saves_a_checkpoint_and_can_be_resumed(platform: Platform) -> None:
    run = submit(platform, steps=80)
    parts = Scheduler(platform, StandInEngine())
    until(parts.step, lambda: step_of(platform, run) > 3)
    platform.cancel_run(BY, run)
    assert carry(platform, parts, run)["state"] == "cancelled"
    with pytest.raises(Conflict):
        platform.cancel_run(BY, run)
    assert platform.resume_run(BY, run)["state"] == "queued"
    ended = carry(platform, parts, run)
    assert (ended["state"], ended["attempt"]) == ("succeeded", 2)


def test_a_new_controller_finds_a_living_run_and_starts_nothing_twice(platform: Platform, home: Path) -> None:
    run = submit(platform, steps=80)
    until(Scheduler(platform, StandInEngine()).step, lambda: step_of(platform, run) > 3)
    pid = pid_of(home / "runs" / run)
    engine = StandInEngine()
    second = Scheduler(platform, engine)
    second.step()
    assert pid_of(home / "runs" / run) == pid
    ended = carry(platform, second, run)
    assert (ended["state"], ended["attempt"], engine.starts) == ("succeeded", 1, [])


def test_a_stop_of_the_platform_queues_its_runs_again(platform: Platform, home: Path) -> None:
    run = submit(platform, steps=80)
    parts = Scheduler(platform, StandInEngine())
    until(parts.step, lambda: step_of(platform, run) > 3)
    parts.drain()
    assert state(platform, run) == "queued"
    assert pid_of(home / "runs" / run) is None
    assert carry(platform, Scheduler(platform, StandInEngine()), run)["attempt"] == 2


def test_a_run_that_falls_silent_is_killed_and_tried_again(
    platform: Platform, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "HUNG_AFTER_S", 1.0)
    run = submit(platform, steps=40)
    parts = Scheduler(platform, StandInEngine())
    until(parts.step, lambda: step_of(platform, run) > 3)
    pid = pid_of(home / "runs" / run)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    ended = carry(platform, parts, run)
    assert (ended["state"], ended["attempt"]) == ("succeeded", 2)


def test_what_the_machine_does_not_have_is_refused_at_once(platform: Platform) -> None:
    with pytest.raises(Unprocessable, match="more than the 2 cores"):
        submit(platform, cores=3)
    with pytest.raises(NotFound, match="run_none"):
        platform.run(TENANT, "run_none")


@pytest.mark.parametrize(
    "point",
    ["runs.before-start", "runs.after-start", "blobs.before-put", "runs.before-end", "registry.before-register",
     "registry.after-register", "runs.after-end"],
)  # fmt: skip
def test_a_controller_that_dies_anywhere_leaves_one_version_and_each_attempt_costed_once(
    home: Path, point: str
) -> None:
    platform = open_platform(home)
    add_dataset(platform)
    run = submit(platform)

    def controller(**environment: str) -> int:
        return subprocess.run(
            [sys.executable, "-m", "tests.control.rig", str(home)], cwd=ROOT, env={**os.environ, **environment},
            check=False, timeout=60,
        ).returncode  # fmt: skip

    assert controller(GRISTMILL_CRASH_AT=f"{point}:1") == 137
    assert controller() == 0
    ended = platform.run(TENANT, run)
    assert (ended["state"], ended["made"]) == ("succeeded", "wine@1")
    with platform.database.read() as connection:
        assert len(versions.list_versions(connection, TENANT)) == 1
    assert len(outbox(platform, "version.made")) == 1
    attempts_told = [item.payload["attempt"] for item in outbox(platform, "run.used")]
    assert attempts_told == list(range(1, int(str(ended["attempt"])) + 1))
    platform.database.close()
