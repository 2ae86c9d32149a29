"""What the controller says to the processes that it watches, one frame a message, and what they answer."""

from __future__ import annotations

import socket
from typing import TypeVar

import msgspec

from gristmill.core import frames
from gristmill.core.types import AdapterRef, ResourceUse

Answer = TypeVar("Answer")


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """To a worker's socket; answered by a thread that does not compute, so that a long batch is not a dead worker."""


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    state: str  # loading, ready, draining, failed
    busy_s: float  # how long the batch now computing has taken; 0 when idle
    rows: int  # served since start
    busy_total_s: float  # time spent computing since start
    use: ResourceUse
    error: str | None = None  # failed: the one sentence why the bundle did not load
    adapters: dict[str, str] = {}  # loaded: digest by name
    refused: dict[str, str] = {}  # adapters that did not load: one sentence why, by name


class Adapt(msgspec.Struct, frozen=True, tag="adapt"):
    """To a worker's socket: these adapters it is to have and no others; Pong tells when it has them."""

    adapters: tuple[AdapterRef, ...]


class Adapted(msgspec.Struct, frozen=True, tag="adapted"):
    """The worker has read it."""


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """To a gateway's control socket: read the routes file; answered once it routes by at least `revision`."""

    revision: int


class Reloaded(msgspec.Struct, frozen=True, tag="reloaded"):
    revision: int


class Census(msgspec.Struct, frozen=True, tag="census"):
    """To a gateway's control socket: what is under way."""


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    revision: int
    in_flight: dict[str, int]  # requests not yet answered, by version digest
    quarantined: int = 0
    grpc_port: int = 0  # where it listens for gRPC; 0: it does not


Request = Ping | Adapt | Reload | Census


def ask(path: str, message: Request, answer: type[Answer], timeout_s: float = 2.0) -> Answer:
    """One question over a fresh connection. Raises OSError or EOFError when the process is gone or does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(path)
        frames.send(connection, message)
        header, _ = frames.receive(connection)
        return msgspec.msgpack.decode(header, type=answer)
