from hypothesis import given
from hypothesis import strategies as st

from gristmill.control.resources import admissible, fits, together
from gristmill.control.state import Run
from gristmill.core.types import Resources

TOTAL = Resources(4.0, 100, 1)


def queued(name: str, cores: float = 1.0, memory: int = 1, gpus: int = 0, priority: int = 0, age: float = 0.0) -> Run:
    resources = {"cores": cores, "memory_bytes": memory, "gpus": gpus}
    return Run(name, "t", "train", "queued", name, priority, 0, {}, resources, {}, {}, {}, {}, None, None, -age, None,
               None, False)  # fmt: skip


def names(runs: list[Run]) -> list[str]:
    return [run.id for run in runs]


def test_higher_priority_goes_first_and_then_the_older() -> None:
    runs = [queued("young", age=1), queued("old", age=2), queued("urgent", priority=5)]
    assert names(admissible(runs, [Resources(2.0, 1, 0)], [], TOTAL)) == ["urgent", "old"]


def test_nobody_overtakes_a_run_that_waits_for_room() -> None:
    runs = [queued("large", cores=3.0, age=2), queued("small", age=1)]
    assert admissible(runs, [Resources(2.0, 1, 0)], [], TOTAL) == []


def test_replicas_take_no_cores_from_runs_and_cannot_stop_training() -> None:
    replicas = [Resources(4.0, 100, 0)]
    assert names(admissible([queued("one"), queued("two")], [], replicas, TOTAL)) == ["one"]  # memory, after the first
    replicas = [Resources(4.0, 10, 0)]
    assert names(admissible([queued("one"), queued("two")], [], replicas, TOTAL)) == ["one", "two"]


def test_a_gpu_that_a_replica_holds_is_not_given_to_a_run() -> None:
    assert admissible([queued("one", gpus=1)], [], [Resources(0.5, 1, 1)], TOTAL) == []


_runs = st.lists(
    st.builds(
        queued,
        name=st.uuids().map(str),
        cores=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
        memory=st.integers(1, 100),
        gpus=st.integers(0, 1),
        priority=st.integers(0, 3),
        age=st.floats(0, 10),
    ),
    max_size=12,
)


@given(_runs)
def test_what_is_granted_to_runs_is_never_more_than_there_is(runs: list[Run]) -> None:
    started = admissible(runs, [], [], TOTAL)
    assert fits(Resources(0.0, 0, 0), together(run.granted for run in started), TOTAL)
    if runs:
        assert started, "an idle machine starts something"
    assert len({run.id for run in started}) == len(started)
