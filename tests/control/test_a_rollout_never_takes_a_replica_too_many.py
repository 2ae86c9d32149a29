"""The plan alone, driven through every order of events that Hypothesis can think of."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.control.rollouts import Scene, plan
from gristmill.control.state import Endpoint, Replica, Rollout

GRANTED = {"cores": 0.5, "memory_bytes": 1, "gpus": 0}


def replica(number: int, model: str, state: str) -> Replica:
    ready_at = 1.0 if state == "ready" else None
    return Replica(f"r{number:03}", "t", "e", model, model, state, GRANTED, 0, float(number), ready_at, None, {}, None)


def endpoint(wanted: int) -> Endpoint:
    spec: dict[str, Any] = {"model": "m@2", "digest": "m@2", "task": "t", "replicas": wanted, "most_replicas": wanted,
                            "resources": GRANTED}  # fmt: skip
    return Endpoint("t", "e", 2, spec, "updating", spec | {"model": "m@1", "digest": "m@1"}, 0.0, 0.0)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["rolling", "blue-green"]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.lists(st.sampled_from(["ready", "pushed", "gone", "plan", "plan"]), max_size=60),
)
def test_enough_replicas_are_routed_at_every_moment_and_the_rollout_ends(
    strategy: str, before: int, wanted: int, events: list[str]
) -> None:
    live = [replica(number, "m@1", "ready") for number in range(before)]
    moved = Rollout("rol", "t", "e", strategy, "running", {"from": "m@1", "to": "m@2"}, 2, None, 0.0, None)
    routed = [one.id for one in live]  # what the gateways know
    done, numbers = False, iter(range(before, 1000))

    def take(event: str) -> None:
        nonlocal live, routed, done
        if event == "ready":
            first = next((one for one in live if one.state == "starting"), None)
            live = [one._replace(state="ready", ready_at=1.0) if one is first else one for one in live]
        elif event == "pushed":
            routed = [one.id for one in live if one.routed]
        elif event == "gone":  # a draining replica ends only once the gateways route elsewhere
            live = [one for one in live if one.state != "draining" or one.id in routed]
        elif not done:
            pushed = routed == [one.id for one in live if one.routed]
            for action in plan(Scene(endpoint(wanted), moved, live, [], 0.0, pushed)):
                if action.act == "add":
                    live = [*live, replica(next(numbers), "m@2", "starting")]
                elif action.act == "drain":
                    gone = action.replica
                    live = [one._replace(state="draining") if one == gone else one for one in live]
                else:
                    assert action.act == "succeed"
                    done = True
        computing = [one.id for one in live if one.ready_at is not None and one.id in routed]
        assert len(computing) >= min(before, wanted), "too few replicas take requests"

    for event in events:
        take(event)
    for _ in range(100):
        for event in ("plan", "ready", "pushed", "gone"):
            take(event)
    assert done
    assert [one.model for one in live] == ["m@2"] * wanted
