"""A run, live in the terminal: loss curves, speed, time left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from gristmill.cli.curves import plot
from gristmill.cli.formats import SHOWN, duration
from gristmill.cli.output import progress_console
from gristmill.client.sync import Client
from gristmill.core.types import RunState

MAX_POINTS = 2_000  # a curve of more is thinned by half: no terminal shows as many


class Progress:
    """What a run's events have said so far."""

    def __init__(self, title: str, height: int = 8) -> None:
        self.title, self.height = title, height
        self.curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.latest: dict[str, float] = {}
        self.step = self.total_steps = 0
        self.epoch: float | None = None
        self.message = "waiting for its turn"
        self.sample = ""  # what a language model writes by now
        self.ended = False
        self._started: tuple[float, int] | None = None  # (at, step) of this attempt's first metric
        self._now = 0.0

    def take(self, event: Mapping[str, Any]) -> None:
        """One RunEvent as a mapping."""
        self._now = event.get("at") or self._now
        if event["kind"] == "started":
            self._started, self.message = None, f"attempt {event.get('attempt') or 1}"
        self.ended = event["kind"] == "ended"
        if event["kind"] == "sample":
            self.sample = event["message"]
        elif told := event.get("message"):  # why it failed is said once, by the command
            self.message = "failed" if self.ended and told not in tuple(RunState) else told
        if event.get("step") is not None:
            self.step, self.epoch = event["step"], event.get("epoch", self.epoch)
            self.total_steps = event.get("total_steps") or self.total_steps
            self._started = self._started or (self._now, self.step)
        for name, value in (event.get("values") or {}).items():
            self.latest[name] = value
            self._add(name, self.step, value)

    def _add(self, name: str, step: int, value: float) -> None:
        points = self.curves[name]
        while points and points[-1][0] >= step:  # a resumed attempt walks some steps again
            points.pop()
        points.append((float(step), value))
        if len(points) > MAX_POINTS:
            del points[1:-1:2]

    @property
    def speed(self) -> float | None:
        """Steps a second in this attempt."""
        if self._started is None or self._now <= self._started[0]:
            return None
        return (self.step - self._started[1]) / (self._now - self._started[0])

    def __rich__(self) -> RenderableType:
        losses = {name: points for name, points in self.curves.items() if name.endswith("/loss")}
        drawn = plot(losses, height=self.height) if losses else ""
        written = Text(self.sample, style="italic") if self.sample else ""
        return Group(self._headline(), drawn, self._figures(), written)

    def _headline(self) -> Text:
        speed = self.speed
        left = duration((self.total_steps - self.step) / speed) if speed and self.total_steps else ""
        parts = [
            self.message if self.ended or not self.total_steps else "",
            f"step {self.step}/{self.total_steps}" if self.total_steps else "",
            f"epoch {self.epoch:.1f}" if self.epoch is not None else "",
            f"{speed:.1f} step/s" if speed else "",
            f"{left} left" if left and not self.ended else "",
        ]
        return Text.assemble((self.title, "bold"), "  ", "  ".join(part for part in parts if part))

    def _figures(self) -> Text:
        shown = (f"{name} {value:.4g}" for name, value in self.latest.items() if name.rpartition("/")[2] in SHOWN)
        return Text("  ".join(shown), style="dim", no_wrap=True, overflow="ellipsis")


def watch(client: Client, run: str, *, quiet: bool = False, title: str | None = None) -> dict[str, Any]:
    """Follow `run` until it ends; its last document. `quiet` draws nothing."""
    progress = Progress(title or client.runs.get(run)["id"])  # an unknown run is told before anything is drawn
    if quiet:
        for _ in client.runs.watch(run):
            pass
        return client.runs.get(run)
    with Live(progress, console=progress_console, refresh_per_second=6, transient=False) as live:
        for event in client.runs.watch(run):
            progress.take(event)
            live.update(progress)
    return client.runs.get(run)
