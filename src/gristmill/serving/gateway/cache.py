"""Answers kept by what was asked: one cache an endpoint of a tenant, off unless the endpoint asks for it."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import NamedTuple

import msgspec
import numpy as np

from gristmill.serving.gateway.work import ExplainJob, Job, OutputRows, PayloadJob, Result, TensorJob
from gristmill.serving.wire.tensors import Buffer

_ENTRY_BYTES = 512  # what an entry takes beside its values: key, names, array headers
_encode = msgspec.msgpack.Encoder(order="sorted").encode
CacheKey = tuple[str, bytes]  # the version's digest, the input's fingerprint


class Kept(NamedTuple):
    """One result, and the rows that it counts for."""

    result: Result
    rows: int


def fingerprint(job: Job) -> bytes:
    """SHA-256 of all that the answer depends on beside the version: kind, parameters, shapes, every byte of input."""
    subject = job.subject if type(job) is ExplainJob else job
    head, parts = _described(subject)
    parameters = job.parameters if type(job) is ExplainJob else None
    hashed = sha256(_encode((type(job).__name__, parameters, *head)))
    for part in parts:
        hashed.update(part)
    return hashed.digest()


def _described(subject: TensorJob | PayloadJob | ExplainJob) -> tuple[tuple[object, ...], tuple[Buffer, ...]]:
    """Sizes stand before the bytes, so that no two inputs run into the same text."""
    if type(subject) is TensorJob:
        return ("tensors", subject.shapes, [len(part) for part in subject.parts]), subject.parts
    assert type(subject) is PayloadJob
    return ("payload", subject.content_type, len(subject.body)), (subject.body,)


class AnswerCache:
    """At most `most_bytes` of results; the least recently used go first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[CacheKey, Kept] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def resize(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._shrink()

    def get(self, key: CacheKey) -> Kept | None:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def put(self, key: CacheKey, result: Result, rows: int) -> None:
        """Keep a copy; what alone is larger than the whole cache is not kept."""
        size = _size(result)
        if key in self._kept or size > self._most_bytes:
            return
        self._kept[key] = Kept(_owned(result), rows)
        self.bytes += size
        self._shrink()

    def _shrink(self) -> None:
        while self.bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.bytes -= _size(oldest.result)


def _size(result: Result) -> int:
    if isinstance(result, bytes):
        return _ENTRY_BYTES + len(result)
    return _ENTRY_BYTES + sum(_bytes_of(output.values) for output in result)


def _bytes_of(values: np.ndarray) -> int:
    if values.dtype == object:
        return int(values.nbytes) + sum(len(item) for item in values.ravel())
    return int(values.nbytes)


def _owned(result: Result) -> Result:
    """Rows are a view into their batch's message, which a kept answer must not keep alive."""
    if isinstance(result, bytes):
        return result
    return tuple(OutputRows(output.name, output.dtype, output.values.copy()) for output in result)
