"""A worker's sockets: pings are answered by threads of their own, batches by the one thread that computes."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from gristmill.core import frames
from gristmill.core.errors import GristmillError
from gristmill.core.supervision import Ping
from gristmill.serving.wire.messages import Compute, Draining, Explain, Hello, Parse, Ready, decode_to_worker
from gristmill.serving.worker.computing import ANSWERING
from gristmill.serving.worker.state import WorkerState
from gristmill.serving.worker.version import Version

_log = logging.getLogger(__name__)
_STALLED_S = 10.0  # a gateway that stops in mid-frame is stopped itself: drop it, the others wait
_BROKEN = (OSError, EOFError, GristmillError, msgspec.DecodeError)


class Server:
    """Listens from the start, so that the controller can ask how loading goes."""

    def __init__(self, path: str, state: WorkerState) -> None:
        self._state = state
        self._selector = selectors.DefaultSelector()
        self._greeted: list[socket.socket] = []  # gateways that said Hello and are not yet in the selector
        self._gateways: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._ending = False
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(128)
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    def end_on_sigterm(self) -> None:
        signal.signal(signal.SIGTERM, self._sigterm)

    def _sigterm(self, number: int, frame: FrameType | None) -> None:
        self._ending = True
        self._waker.send(b"!")

    # Threads beside the computing one

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._greet, args=(connection,), daemon=True).start()

    def _greet(self, connection: socket.socket) -> None:
        """Answer pings until the other side leaves, or hand the connection over when it turns out to be a gateway."""
        try:
            while True:
                header, _ = frames.receive(connection)
                message = decode_to_worker(header)
                if isinstance(message, Ping):
                    frames.send(connection, self._state.pong())
                elif isinstance(message, Hello):
                    with self._lock:
                        self._greeted.append(connection)
                    self._waker.send(b"+")
                    return
                else:
                    raise EOFError
        except _BROKEN:
            connection.close()

    # The computing thread

    def serve(self, version: Version, ready: Ready, drain_s: float) -> None:
        """Compute until SIGTERM; then what is under way is answered, and gateways are told to send no more."""
        self._state.state = "ready"
        while not self._ending:
            self._turn(version, ready, None)
        self._state.state = "draining"
        self._welcome(ready)
        for connection in list(self._gateways):
            self._send(connection, Draining())
        until = time.monotonic() + drain_s
        while self._gateways and time.monotonic() < until:
            self._turn(version, ready, 0.2)

    def _turn(self, version: Version, ready: Ready, timeout_s: float | None) -> None:
        for selected, _ in self._selector.select(timeout_s):
            if selected.fileobj is self._wake:
                self._wake.recv(4096)
                self._welcome(ready)
            else:
                self._answer(version, selected.fileobj)  # type: ignore[arg-type]

    def _welcome(self, ready: Ready) -> None:
        with self._lock:
            greeted, self._greeted = self._greeted, []
        for connection in greeted:
            connection.settimeout(_STALLED_S)
            self._selector.register(connection, selectors.EVENT_READ)
            self._gateways.add(connection)
            self._send(connection, Draining() if self._ending else ready)

    def _answer(self, version: Version, connection: socket.socket) -> None:
        try:
            header, body = frames.receive(connection)
            message = decode_to_worker(header)
            if not isinstance(message, Compute | Parse | Explain):
                raise EOFError
        except _BROKEN:
            self._drop(connection)
            return
        started = self._state.begin()
        answer, buffers = ANSWERING[type(message)](version, message, body)
        rows = sum(message.rows) if isinstance(message, Compute) else sum(getattr(answer, "rows", ()))
        took = self._state.end(started, rows)
        self._send(connection, msgspec.structs.replace(answer, compute_us=round(took * 1e6)), *buffers)

    def _send(self, connection: socket.socket, message: Any, *buffers: bytes | bytearray | memoryview) -> None:
        try:
            frames.send(connection, message, *buffers)
        except OSError:
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        if connection in self._gateways:
            self._gateways.discard(connection)
            self._selector.unregister(connection)
        connection.close()
