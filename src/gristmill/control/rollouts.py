"""Rollouts: how an endpoint gets from what runs to what is wanted. The plan is a pure function; acting is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from gristmill.control.state import Endpoint, Replica, Rollout

Act = Literal["add", "drain", "succeed", "fail", "settle", "remove"]
FAILED_AGAIN_S = 15.0  # a replica that failed outside a rollout is tried again after this


class Action(NamedTuple):
    act: Act
    replica: Replica | None = None
    reason: str | None = None


class Scene(NamedTuple):
    """All that a decision rests on. `live`: replicas starting, ready or draining; `failed`: since the last change;
    `pushed`: every gateway routes by `live`."""

    endpoint: Endpoint
    rollout: Rollout | None
    live: Sequence[Replica]
    failed: Sequence[Replica]
    now: float
    pushed: bool = True


def plan(scene: Scene) -> list[Action]:
    """The next actions, possibly none. Taking them again after a crash does no harm."""
    return list(_plan(scene))


def _plan(scene: Scene) -> Iterator[Action]:
    endpoint, rollout = scene.endpoint, scene.rollout
    if endpoint.state == "deleting":
        yield from _leaving(scene.live)
        if not scene.live:
            yield Action("remove")
    elif rollout is not None and rollout.state == "running":
        yield from _rolling_out(scene, rollout)
    elif endpoint.state == "failed" and rollout is not None and rollout.detail["from"] is None:
        yield from _leaving(scene.live)  # nothing was served before: there is nothing to keep
    else:
        yield from _keeping(scene)


def _rolling_out(scene: Scene, rollout: Rollout) -> Iterator[Action]:
    new, old, draining = _sides(scene)
    wanted = scene.endpoint.target.replicas
    ready = [replica for replica in new if replica.state == "ready"]
    if scene.failed:
        yield Action("fail", reason=scene.failed[-1].error)
        return
    together = rollout.strategy == "blue-green" or not old
    if together:
        yield from (Action("add") for _ in range(wanted - len(new)))
        if len(ready) >= wanted and scene.pushed:
            yield from _leaving(old)
    else:
        yield from _one_by_one(new, old, ready if scene.pushed else [], wanted)
    yield from _leaving(new[wanted:])
    if len(ready) == wanted == len(new) and not old and not draining:
        yield Action("succeed")


def _one_by_one(
    new: Sequence[Replica], old: Sequence[Replica], ready: Sequence[Replica], wanted: int
) -> Iterator[Action]:
    """One more new replica than the old ones that left; an old one leaves once a new one is ready in its place."""
    surplus = len(ready) + len(old) - wanted
    if surplus > 0 and ready:
        yield from _leaving(old[:surplus])
    elif len(new) == len(ready) and len(new) < wanted:
        yield Action("add")


def _keeping(scene: Scene) -> Iterator[Action]:
    """No rollout: as many replicas as wanted, of what is wanted."""
    new, old, draining = _sides(scene)
    wanted = scene.endpoint.target.replicas
    waits = bool(scene.failed) and scene.now - (scene.failed[-1].ended_at or 0.0) < FAILED_AGAIN_S
    if not waits:
        yield from (Action("add") for _ in range(wanted - len(new)))
    yield from _leaving(new[wanted:])
    yield from _leaving(old)
    steady = len(new) == wanted and all(replica.state == "ready" for replica in new) and not old and not draining
    if steady and scene.endpoint.state == "updating":
        yield Action("settle")


def _sides(scene: Scene) -> tuple[list[Replica], list[Replica], list[Replica]]:
    """(as they are wanted, others, draining)."""
    draining = [replica for replica in scene.live if replica.state == "draining"]
    kept = [replica for replica in scene.live if replica.state != "draining"]
    target = scene.endpoint.target
    wanted = [replica for replica in kept if (replica.model, replica.runtime, replica.granted)
              == (target.model, target.runtime, target.resources)]  # fmt: skip
    return wanted, [replica for replica in kept if replica not in wanted], draining


def _leaving(replicas: Sequence[Replica]) -> Iterator[Action]:
    return (Action("drain", replica) for replica in replicas if replica.state != "draining")
