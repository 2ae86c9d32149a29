"""A version that answers whole batches: one message in, one message out."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import msgspec

from gristmill.serving.wire.messages import Compute, Explain, Parse
from gristmill.serving.worker.computing import ANSWERING
from gristmill.serving.worker.state import WorkerState
from gristmill.serving.worker.version import Version

Send = Callable[..., None]  # (connection, message, *buffers)


class Batches:
    """See server.Answering."""

    messages = Compute | Parse | Explain
    busy = False

    def __init__(self, version: Version, state: WorkerState, send: Send) -> None:
        self._version, self._state, self._send = version, state, send

    def take(self, connection: socket.socket, message: Any, body: bytearray) -> None:
        started = self._state.begin()
        answer, buffers = ANSWERING[type(message)](self._version, message, body)
        rows = sum(message.rows) if isinstance(message, Compute) else sum(getattr(answer, "rows", ()))
        took = self._state.end(started, rows)
        self._send(connection, msgspec.structs.replace(answer, compute_us=round(took * 1e6)), *buffers)

    def step(self) -> None:
        """Nothing is left between two messages."""

    def adapt(self) -> None:
        """Only language models have adapters."""

    def drop(self, connection: socket.socket) -> None:
        """Nothing is under way for it."""
