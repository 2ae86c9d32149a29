"""A run's folder from the controller's side: what it is told (`run.json`), what it tells (events, result)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gristmill.core.files import write_atomic
from gristmill.core.types import ResourceUse, RunEvent, RunResult, RunSpec

_event = msgspec.json.Decoder(RunEvent).decode
_result = msgspec.json.Decoder(RunResult).decode
_spec = msgspec.json.Decoder(RunSpec).decode


def write_spec(folder: Path, spec: RunSpec) -> None:
    """Raises StorageFull."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "run.json", msgspec.json.encode(spec))


def placed_attempt(folder: Path) -> int:
    """The attempt that `run.json` was written for; 0 when none was."""
    try:
        return _spec((folder / "run.json").read_bytes()).attempt
    except (OSError, msgspec.DecodeError):
        return 0


def result_of(folder: Path, attempt: int) -> RunResult | None:
    """The attempt's result once it is there; an older attempt's is none."""
    try:
        result = _result((folder / "result.json").read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return result if result.attempt == attempt else None


class Following:
    """What one attempt has told so far: its `events.jsonl` read on from where it was, whole lines only."""

    def __init__(
        self, folder: Path, attempt: int, progress: dict[str, Any], metrics: dict[str, Any], now: float = 0.0
    ) -> None:
        self._path = folder / "events.jsonl"
        self._offset = 0
        self.attempt = attempt
        self.progress = progress
        self.metrics = metrics
        self.started = False
        self.use: ResourceUse | None = None  # of this attempt, as last told: what is known of one that is killed
        self.heard_at = now  # monotonic: a machine that slept has not made its runs silent

    def read(self) -> bool:
        """Whether there was something new of this attempt."""
        events = [event for event in self._next() if event.attempt == self.attempt]
        for event in events:
            self._take(event)
        return bool(events)

    def _take(self, event: RunEvent) -> None:
        self.started = True
        self.use = event.use or self.use
        self.metrics = self.metrics | event.values
        told = {field: getattr(event, field) for field in ("step", "total_steps", "epoch", "message")}
        self.progress = self.progress | {key: value for key, value in told.items() if value is not None}
        self.progress["attempt"] = event.attempt
        if event.kind == "checkpoint":
            self.progress["deaths"] = 0

    def _next(self) -> list[RunEvent]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [event for line in whole.splitlines() if (event := decode_event(line)) is not None]


def decode_event(line: bytes) -> RunEvent | None:
    """None for a line torn by a full disk or a death: the next attempt writes on in the same file."""
    try:
        return _event(line)
    except msgspec.DecodeError:
        return None
