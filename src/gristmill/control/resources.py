"""What the machine has to grant, and which queued runs it carries. Pure functions on values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gristmill.control.state import Run
from gristmill.core.errors import Unprocessable
from gristmill.core.settings import Settings
from gristmill.core.types import Resources

_SLACK = 1e-9  # of summed fractions of cores


def capacity(settings: Settings) -> Resources:
    """What runs and replicas are granted together."""
    return Resources(float(settings.cores), settings.memory_bytes, settings.gpus)


def together(grants: Iterable[Resources]) -> Resources:
    grants = list(grants)
    return Resources(
        sum(one.cores for one in grants), sum(one.memory_bytes for one in grants), sum(one.gpus for one in grants)
    )


def fits(wanted: Resources, granted: Resources, total: Resources) -> bool:
    """Whether `wanted` can be granted beside what is `granted`."""
    return (
        granted.cores + wanted.cores <= total.cores + _SLACK
        and granted.memory_bytes + wanted.memory_bytes <= total.memory_bytes
        and granted.gpus + wanted.gpus <= total.gpus
    )


def check_possible(wanted: Resources, total: Resources) -> None:
    """Raises Unprocessable for what would wait for ever."""
    if not fits(wanted, Resources(0.0, 0, 0), total):
        raise Unprocessable(
            f"The resources that are asked for ({_said(wanted)}) are more than the {_said(total)} there are.",
            field="resources",
        )


def admissible(
    queued: Sequence[Run], running: Iterable[Resources], replicas: Iterable[Resources], total: Resources
) -> list[Run]:
    """Those of `queued` to start now: by priority, then by age, nobody overtaking one that waits.

    Runs share the cores among themselves only: replicas that wait for requests use none. Memory counts both, but the
    first run goes whatever replicas hold: endpoints may slow training down, never stop it. GPUs are never shared.
    """
    running = list(running)
    held = together(replicas)
    granted, busy = together([*running, Resources(0.0, held.memory_bytes, held.gpus)]), bool(running)
    started: list[Run] = []
    for run in sorted(queued, key=lambda run: (-run.priority, run.created_at)):
        wanted = run.granted
        if not fits(wanted, granted, total) and (busy or granted.gpus + wanted.gpus > total.gpus):
            break
        started.append(run)
        granted, busy = together([granted, wanted]), True
    return started


def _said(resources: Resources) -> str:
    gpus = f", {resources.gpus} GPUs" if resources.gpus else ""
    return f"{resources.cores:g} cores, {resources.memory_bytes / 2**30:.1f} GiB{gpus}"
