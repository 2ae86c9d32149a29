"""A batch as one message to a worker, and the worker's message as each request's own rows."""

from __future__ import annotations

from gristmill.core.types import Signature
from gristmill.serving.gateway.work import ExplainJob, OutputRows, PayloadJob, Result, TensorJob, Work
from gristmill.serving.wire.messages import Answered, Compute, Computed, Explain, Parse, Part, Payload
from gristmill.serving.wire.tensors import Buffer, to_array


class Batch:
    """Works that went to a replica in one message."""

    __slots__ = ("number", "rows", "sent_at", "works")

    def __init__(self, number: int, works: list[Work], rows: int, sent_at: float) -> None:
        self.number = number
        self.works = works
        self.rows = rows
        self.sent_at = sent_at

    @property
    def explains(self) -> bool:
        """An explanation is a batch of its own."""
        return type(self.works[0].job) is ExplainJob


def join(batch: Batch, signature: Signature) -> tuple[Compute | Parse | Explain, list[Buffer]]:
    """The message and the buffers that follow it; all works of a batch are of one group."""
    works = batch.works
    job = works[0].job
    if type(job) is TensorJob:
        buffers: list[Buffer] = [
            b"".join([work.job.parts[i] for work in works])  # type: ignore[union-attr]
            for i in range(len(job.parts))
        ]
        rows = [work.rows for work in works]
        return Compute(batch.number, rows, _parts(signature, job.shapes, buffers)), buffers
    if type(job) is ExplainJob:
        return _explain(batch, job, signature)
    jobs = [work.job for work in works if type(work.job) is PayloadJob]
    payloads = [Payload(job.content_type, len(job.body)) for job in jobs]
    return Parse(batch.number, payloads), [job.body for job in jobs]


def _parts(signature: Signature, shapes: tuple[tuple[int, ...], ...], buffers: list[Buffer]) -> tuple[Part, ...]:
    return tuple(
        Part(spec.name, spec.dtype, shape, len(buffer))
        for spec, shape, buffer in zip(signature.inputs, shapes, buffers, strict=True)
    )


def _explain(batch: Batch, job: ExplainJob, signature: Signature) -> tuple[Explain, list[Buffer]]:
    subject, (work,) = job.subject, batch.works
    within_s = work.deadline - batch.sent_at
    if type(subject) is TensorJob:
        buffers = list(subject.parts)
        parts = _parts(signature, subject.shapes, buffers)
        return Explain(batch.number, work.rows, parts, None, job.parameters, within_s), buffers
    assert type(subject) is PayloadJob
    payload = Payload(subject.content_type, len(subject.body))
    return Explain(batch.number, work.rows, (), payload, job.parameters, within_s), [subject.body]


def split(batch: Batch, message: Computed | Answered, body: bytes) -> list[Result | None]:
    """Each work's own result, in the works' order; None where the message has a fault for it."""
    if isinstance(message, Answered):
        return _documents(batch, message, body)
    good_rows = sum(work.rows for i, work in enumerate(batch.works) if i not in message.faults)
    arrays, offset = [], 0
    for part in message.outputs:
        data = memoryview(body)[offset : offset + part.size]
        arrays.append(to_array(data, part.dtype, (good_rows, *part.shape)))
        offset += part.size
    results: list[Result | None] = []
    start = 0
    for i, work in enumerate(batch.works):
        if i in message.faults:
            results.append(None)
            continue
        stop = start + work.rows
        results.append(
            tuple(
                [
                    OutputRows(part.name, part.dtype, array[start:stop])
                    for part, array in zip(message.outputs, arrays, strict=True)
                ]
            )
        )
        start = stop
    return results


def _documents(batch: Batch, message: Answered, body: bytes) -> list[Result | None]:
    results: list[Result | None] = []
    offset = 0
    for i, (work, size) in enumerate(zip(batch.works, message.sizes, strict=True)):
        work.rows = message.rows[i]
        results.append(None if i in message.faults else body[offset : offset + size])
        offset += size
    return results
