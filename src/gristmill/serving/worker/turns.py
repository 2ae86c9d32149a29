"""A long piece of work that shares the computing thread: it runs until it asks for a turn, and waits for its result.

Two threads of which one runs at a time, as a coroutine would; code that knows nothing of turns may call between them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")
Take = Callable[[Callable[[], Any]], Any]  # has the call made in a turn: gives what it gives, raises what it raises


class _Ended(NamedTuple):
    result: Any


class Turns(Generic[T]):
    """`work(take)` in a thread of its own; must not raise."""

    def __init__(self, work: Callable[[Take], T]) -> None:
        self._work = work
        self._asked = SimpleQueue[Any]()
        self._told = SimpleQueue[tuple[Any, Exception | None]]()
        self._waiting: Callable[[], Any] | None = None
        self._begun = False

    def step(self, refused: Exception | None = None) -> T | None:
        """Take one turn, and let the work run until it asks for the next; its result once it has ended, else None.

        `refused` is raised where the work waits, in place of the turn.
        """
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._run, name="aside", daemon=True).start()
        else:
            self._told.put(self._turn(refused))
        asked = self._asked.get()
        if isinstance(asked, _Ended):
            result: T = asked.result
            return result
        self._waiting = asked
        return None

    def _turn(self, refused: Exception | None) -> tuple[Any, Exception | None]:
        assert self._waiting is not None
        if refused is not None:
            return None, refused
        try:
            return self._waiting(), None
        except Exception as error:  # of the model: it belongs to who asked
            return None, error

    def _run(self) -> None:
        self._asked.put(_Ended(self._work(self._take)))

    def _take(self, call: Callable[[], Any]) -> Any:
        self._asked.put(call)
        result, error = self._told.get()
        if error is not None:
            raise error
        return result
