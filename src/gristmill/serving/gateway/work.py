"""One request between its admission and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple

import numpy as np

from gristmill.core.routes import RouteKey, RouteVersion
from gristmill.serving.gateway.budgets.reservation import Reservation
from gristmill.serving.wire.tensors import Buffer

Header = tuple[bytes, bytes]
JSON: Header = (b"content-type", b"application/json")


class Reply(NamedTuple):
    """What goes back to the client; the app adds length, request id and model."""

    body: bytes
    headers: tuple[Header, ...] = (JSON,)
    status: int = 200


class Streamed(NamedTuple):
    """A reply that goes out as it comes; whoever sends it closes it."""

    parts: AsyncGenerator[bytes]
    headers: tuple[Header, ...]
    status: int = 200


class TensorJob(NamedTuple):
    """Checked input bytes in the signature's order; `rows` agree. `shapes` are a row's."""

    parts: tuple[Buffer, ...]
    shapes: tuple[tuple[int, ...], ...]


class PayloadJob(NamedTuple):
    """A raw body that the task parses in the worker."""

    body: bytes
    content_type: str | None


class ExplainJob(NamedTuple):
    subject: TensorJob | PayloadJob
    parameters: dict[str, Any]


Job = TensorJob | PayloadJob | ExplainJob


class OutputRows(NamedTuple):
    """This request's rows of one output."""

    name: str
    dtype: str
    values: np.ndarray


Result = tuple[OutputRows, ...] | bytes  # bytes: a JSON document that the worker wrote
Render = Callable[[RouteVersion, Result], Reply]


class Answer(NamedTuple):
    """A rendered reply and the version that gave it."""

    reply: Reply
    model: str


class StreamedAnswer(NamedTuple):
    """The same of a reply that is not whole yet."""

    reply: Streamed
    model: str


class Work:
    """Lives on the gateway's event loop; its future is set once, by whoever ends it."""

    __slots__ = (
        "arrived_at",
        "bytes_in",
        "deadline",
        "deaths",
        "ended",
        "fingerprint",
        "future",
        "job",
        "key",
        "record_id",
        "render",
        "reservation",
        "rows",
        "size",
    )

    def __init__(
        self,
        job: Job,
        rows: int,
        key: RouteKey,
        render: Render,
        record_id: str,
        bytes_in: int,
        arrived_at: float,
        future: asyncio.Future[Answer],
    ) -> None:
        self.job = job
        self.rows = rows
        self.key = key
        self.render = render
        self.record_id = record_id
        self.bytes_in = bytes_in
        self.arrived_at = arrived_at  # time.monotonic
        self.deadline = float("inf")
        self.deaths = 0  # workers that died while this was in flight on them
        self.ended = 0  # the status that it was answered with before any result; 0: still awaited
        self.size = bytes_in  # what batches of text are grouped by
        self.fingerprint: bytes | None = None  # of its input, where the endpoint has a cache
        self.future = future
        self.reservation: Reservation | None = None  # where a hard budget pays for it

    @property
    def group(self) -> object:
        """Works of one group may share a batch: same kind and same row shapes."""
        job = self.job
        return job.shapes if type(job) is TensorJob else type(job)

    @property
    def operation(self) -> str:
        return "explain" if type(self.job) is ExplainJob else "infer"

    def succeed(self, answer: Answer) -> None:
        if not self.future.done():
            self.future.set_result(answer)

    def fail(self, error: Exception, status: int) -> None:
        self.ended = self.ended or status
        if not self.future.done():
            self.future.set_exception(error)

    def leave(self) -> None:
        """The client is gone: nobody awaits the answer any more."""
        self.ended = self.ended or 499
        self.future.cancel()
