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
from typing import Any, Protocol

import msgspec

from gristmill.core import frames
from gristmill.core.errors import GristmillError
from gristmill.core.supervision import Adapt, Adapted, Ping
from gristmill.serving.wire.messages import Draining, Hello, Ready, decode_to_worker
from gristmill.serving.worker.state import WorkerState

_log = logging.getLogger(__name__)
_STALLED_S = 10.0  # a gateway that stops in mid-frame is stopped itself: drop it, the others wait
_BROKEN = (OSError, EOFError, GristmillError, msgspec.DecodeError)


class Answering(Protocol):
    """What a version does with the messages of gateways; called from the computing thread only."""

    @property
    def messages(self) -> Any:
        """The types that it takes; another ends the line."""
        ...

    @property
    def busy(self) -> bool:
        """Whether `step` has something to compute though no message comes."""
        ...

    def take(self, connection: socket.socket, message: Any, body: bytearray) -> None: ...

    def step(self) -> None: ...

    def adapt(self) -> None:
        """Bring the adapters to what the controller wants: see WorkerState."""
        ...

    def drop(self, connection: socket.socket) -> None:
        """The gateway is gone."""
        ...


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
        self._answering: Answering | None = None
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
                elif isinstance(message, Adapt):
                    self._state.wanted = message.adapters
                    self._waker.send(b"a")
                    frames.send(connection, Adapted())
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

    def serve(self, answering: Answering, ready: Ready, drain_s: float) -> None:
        """Compute until SIGTERM; then what is under way is answered, and gateways are told to send no more."""
        self._answering = answering
        self._state.state = "ready"
        while not self._ending:
            self._turn(ready, None)
        self._state.state = "draining"
        self._welcome(ready)
        for connection in list(self._gateways):
            self.send(connection, Draining())
        until = time.monotonic() + drain_s
        while self._gateways and time.monotonic() < until:
            self._turn(ready, 0.2)

    def _turn(self, ready: Ready, timeout_s: float | None) -> None:
        assert self._answering is not None
        for selected, _ in self._selector.select(0 if self._answering.busy else timeout_s):
            if selected.fileobj is self._wake:
                self._wake.recv(4096)
                self._answering.adapt()
                self._welcome(ready)
            else:
                self._take(self._answering, selected.fileobj)  # type: ignore[arg-type]
        if self._answering.busy:
            self._answering.step()

    def _welcome(self, ready: Ready) -> None:
        with self._lock:
            greeted, self._greeted = self._greeted, []
        for connection in greeted:
            connection.settimeout(_STALLED_S)
            self._selector.register(connection, selectors.EVENT_READ)
            self._gateways.add(connection)
            self.send(connection, Draining() if self._ending else ready)

    def _take(self, answering: Answering, connection: socket.socket) -> None:
        try:
            header, body = frames.receive(connection)
            message = decode_to_worker(header)
            if not isinstance(message, answering.messages):
                raise EOFError
        except _BROKEN:
            self._drop(connection)
            return
        answering.take(connection, message, body)

    def send(self, connection: socket.socket, message: Any, *buffers: bytes | bytearray | memoryview) -> None:
        if connection not in self._gateways:
            return
        try:
            frames.send(connection, message, *buffers)
        except OSError:
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        if connection in self._gateways:
            self._gateways.discard(connection)
            self._selector.unregister(connection)
            if self._answering is not None:
                self._answering.drop(connection)
        connection.close()
