from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gristmill.cli.curves import plot
from gristmill.cli.live import MAX_POINTS, Progress

POINTS = st.lists(st.tuples(st.floats(0, 1e6), st.floats(allow_nan=True, allow_infinity=True)), max_size=50)


def drawn(progress: Progress) -> str:
    out = io.StringIO()
    Console(file=out, width=100).print(progress)
    return out.getvalue()


def metric(step: int, at: float, **values: float) -> dict[str, object]:
    named = {name.replace("_", "/"): value for name, value in values.items()}
    return {"kind": "metric", "at": at, "step": step, "epoch": step / 10, "total_steps": 100, "values": named}


@given(st.dictionaries(st.sampled_from(["train/loss", "validation/loss"]), POINTS))
def test_any_curve_can_be_drawn_and_fits_its_box(curves: dict[str, list[tuple[float, float]]]) -> None:
    lines = plot(curves, width=30, height=5).plain.splitlines()
    has_points = any(abs(y) < 1e100 for points in curves.values() for _, y in points)
    assert len(lines) == (6 if has_points else 1)
    assert all(len(line) <= 42 for line in lines[:-1])


def test_the_highest_loss_is_at_the_top_and_the_lowest_at_the_bottom() -> None:
    lines = plot({"train/loss": [(0, 2.0), (10, 0.5)]}, width=20, height=4).plain.splitlines()
    assert lines[0].strip().startswith("2 ┤")
    assert lines[3].strip().startswith("0.5 ┤")
    assert lines[0].rstrip()[-1] < lines[3].rstrip()[-1] or len(lines[0].rstrip()) < len(lines[3].rstrip())


def test_progress_tells_speed_and_time_left() -> None:
    progress = Progress("wine")
    progress.take({"kind": "started", "at": 0.0, "attempt": 1})
    for step in range(0, 60, 10):
        progress.take(metric(step, float(step), train_loss=1 / (step + 1), validation_accuracy=0.5))
    text = drawn(progress)
    assert progress.speed == 1.0
    assert "step 50/100" in text
    assert "50.0 s left" in text
    assert "validation/accuracy 0.5" in text


def test_a_resumed_attempt_draws_its_steps_once() -> None:
    progress = Progress("wine")
    for step in (1, 2, 3, 2, 3, 4):
        progress.take(metric(step, float(step), train_loss=1.0))
    assert [step for step, _ in progress.curves["train/loss"]] == [1, 2, 3, 4]


def test_a_long_run_keeps_a_bounded_curve_with_both_ends() -> None:
    progress = Progress("long")
    for step in range(3 * MAX_POINTS):
        progress.take(metric(step, float(step), train_loss=1.0))
    points = progress.curves["train/loss"]
    assert len(points) <= MAX_POINTS
    assert (points[0][0], points[-1][0]) == (0.0, 3 * MAX_POINTS - 1)
