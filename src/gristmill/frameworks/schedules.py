"""Learning-rate schedules as functions of the optimiser step: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from collections.abc import Callable

from gristmill.tasks.recipe import Schedule


def build_schedule(schedule: Schedule, total_steps: int, steps_per_epoch: int) -> Callable[[int], float]:
    """Factor on the peak learning rate at step 0, 1, ..., total_steps − 1."""
    shape = _shape(schedule, steps_per_epoch)
    warmup = min(schedule.warmup_steps, total_steps - 1)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return shape((step - warmup) / max(1, total_steps - warmup), step)

    return factor


def _shape(schedule: Schedule, steps_per_epoch: int) -> Callable[[float, int], float]:
    shapes: dict[str, Callable[[float, int], float]] = {
        "constant": lambda part, step: 1.0,
        "linear": lambda part, step: 1.0 - part,
        "cosine": lambda part, step: 0.5 * (1 + math.cos(math.pi * part)),
        "one-cycle": lambda part, step: _one_cycle(part),
        "step": lambda part, step: schedule.decay ** (step // (schedule.step_epochs * steps_per_epoch)),
    }
    return shapes[schedule.name]


def _one_cycle(part: float, up: float = 0.3, start: float = 1 / 25, end: float = 1e-4 / 25) -> float:
    """Cosine from peak/25 up for 30 % of the steps, then down to peak/25e4 (Smith 2018; OneCycleLR)."""
    low, high, within = (start, 1.0, part / up) if part < up else (end, 1.0, 1 - (part - up) / (1 - up))
    return low + (high - low) * 0.5 * (1 - math.cos(math.pi * within))
