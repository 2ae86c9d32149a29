"""A version that answers whole batches: one message in, one message out; explanations in turns between them."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from gristmill.core.errors import DeadlineExceeded
from gristmill.serving.wire.messages import NOT_EXPLAINED, Answered, Compute, Explain, Parse
from gristmill.serving.worker.computing import ANSWERING, Parts, explain
from gristmill.serving.worker.state import WorkerState
from gristmill.serving.worker.turns import Turns
from gristmill.serving.worker.version import Version

Send = Callable[..., None]  # (connection, message, *buffers)


class Batches:
    """See server.Answering. An explanation takes hundreds of predictions: other requests are answered in between."""

    messages = Compute | Parse | Explain

    def __init__(self, version: Version, state: WorkerState, send: Send) -> None:
        self._version, self._state, self._send = version, state, send
        self._explaining = deque[_Explaining]()

    @property
    def busy(self) -> bool:
        return bool(self._explaining)

    def take(self, connection: socket.socket, message: Any, body: bytearray) -> None:
        if isinstance(message, Explain):
            self._explaining.append(_Explaining(self._version, connection, message, body))
            return
        started = self._state.begin()
        answer, buffers = ANSWERING[type(message)](self._version, message, body)
        rows = sum(message.rows) if isinstance(message, Compute) else sum(getattr(answer, "rows", ()))
        took = self._state.end(started, rows)
        self._send(connection, msgspec.structs.replace(answer, compute_us=round(took * 1e6)), *buffers)

    def step(self) -> None:
        """One turn of the explanation that came first."""
        explaining = self._explaining[0]
        started = self._state.begin()
        found = explaining.step()
        took = self._state.end(started, sum(found[0].rows) if found else 0)
        explaining.took_s += took
        if found:
            self._explaining.popleft()
            answer = msgspec.structs.replace(found[0], compute_us=round(explaining.took_s * 1e6))
            self._send(explaining.connection, answer, *found[1])

    def adapt(self) -> None:
        """Only language models have adapters."""

    def drop(self, connection: socket.socket) -> None:
        """What nobody waits for any more ends with its next turn."""
        for explaining in self._explaining:
            if explaining.connection is connection:
                explaining.until = 0.0


class _Explaining:
    def __init__(self, version: Version, connection: socket.socket, message: Explain, body: bytearray) -> None:
        self.connection = connection
        self.until = time.monotonic() + message.within_s
        self.took_s = 0.0
        self._turns = Turns[tuple[Answered, Parts]](lambda take: explain(version, message, body, take))

    def step(self) -> tuple[Answered, Parts] | None:
        late = DeadlineExceeded(NOT_EXPLAINED) if time.monotonic() > self.until else None
        return self._turns.step(late)
