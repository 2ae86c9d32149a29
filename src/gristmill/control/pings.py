"""Asking processes how they are, each in a thread of its own: one that hangs keeps nobody waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gristmill.core.supervision import Census, Counted, Ping, Pong, ask

Answer = TypeVar("Answer", Pong, Counted)
_TIMEOUT_S = 1.0
_QUICK_S = 0.05  # while a process has not answered yet
_EVERY_S = 0.5


class Heard(Generic[Answer]):
    """What one process answers, and for how long it has not.

    Silence is the time in which it was asked: a controller that was stopped or starved itself has heard nobody, and
    takes nobody for hung when it goes on.
    """

    def __init__(self, question: Callable[[], Answer], wake: Callable[[], None]) -> None:
        self._question: Callable[[], Answer] = question
        self._wake = wake
        self._gone = threading.Event()
        self.answer: Answer | None = None
        self._silent_s, self._asked = 0.0, time.monotonic()
        threading.Thread(target=self._ask, daemon=True, name="pings").start()

    def silent_s(self) -> float:
        """Seconds of asking since the last answer, or since asking began."""
        return self._silent_s + self._passed(time.monotonic())

    def answers(self) -> bool:
        """Whether it did when it was asked last."""
        return self.answer is not None and self.silent_s() < _EVERY_S + _TIMEOUT_S

    def forget(self) -> None:
        """Of a process that was started anew: its answers begin again."""
        self.answer = None
        self._silent_s, self._asked = 0.0, time.monotonic()

    def stop(self) -> None:
        self._gone.set()

    def _passed(self, now: float) -> float:
        return min(now - self._asked, _EVERY_S + _TIMEOUT_S)

    def _ask(self) -> None:
        while not self._gone.wait(_QUICK_S if self.answer is None else _EVERY_S):
            try:
                answer = self._question()
            except (OSError, EOFError):
                now = time.monotonic()
                self._silent_s, self._asked = self._silent_s + self._passed(now), now
                continue
            changed = self.answer is None or _says(answer) != _says(self.answer)
            self.answer, self._silent_s, self._asked = answer, 0.0, time.monotonic()
            if changed:
                self._wake()


def _says(answer: Pong | Counted) -> object:
    """What the controller acts on at once."""
    return (answer.state, answer.adapters, answer.refused) if isinstance(answer, Pong) else None


def worker(socket: str, wake: Callable[[], None]) -> Heard[Pong]:
    return Heard(lambda: ask(socket, Ping(), Pong, _TIMEOUT_S), wake)


def gateway(socket: str, wake: Callable[[], None]) -> Heard[Counted]:
    return Heard(lambda: ask(socket, Census(), Counted, _TIMEOUT_S), wake)
