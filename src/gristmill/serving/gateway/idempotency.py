"""Idempotency keys: what a client sends twice under one key is computed once and answered alike.

As Stripe does it and draft-ietf-httpapi-idempotency-key-header says. A gateway remembers its own requests, in memory:
a client that repeats over another gateway, or after a restart, is computed again. Streams are not kept.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from time import monotonic

from gristmill.core.errors import Malformed, Unprocessable
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, StreamedAnswer

HEADER = b"idempotency-key"
KEPT_S = 600.0
MOST_BYTES = 64 * 2**20  # of answers; the oldest go first
_ENTRY_BYTES = 1_024  # what an entry takes beside its answer's body
_LONGEST = 255
_READ_BY = (b"content-type", b"inference-header-content-length")  # headers that change what a body means

Compute = Callable[[Request], Awaitable[Answer | StreamedAnswer]]


class _Entry:
    __slots__ = ("answer", "done", "fingerprint", "since")

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        self.since = monotonic()
        self.done = asyncio.Event()
        self.answer: Answer | None = None

    @property
    def bytes(self) -> int:
        return _ENTRY_BYTES + (len(self.answer.reply.body) if self.answer is not None else 0)


class Idempotency:
    """Lives on the gateway's event loop. A key of a client stands for one request of one API key."""

    def __init__(self, most_bytes: int = MOST_BYTES, kept_s: float = KEPT_S) -> None:
        self._most_bytes, self._kept_s = most_bytes, kept_s
        self._entries: OrderedDict[tuple[str, bytes], _Entry] = OrderedDict()
        self._bytes = 0

    async def answer(self, request: Request, compute: Compute) -> Answer | StreamedAnswer:
        """The kept answer of the same request, else `compute`'s, which is kept unless it is an error or a stream.

        Who comes while the first is computed waits for it. Raises Malformed for a key that is none, Unprocessable for
        one that stands for another request, and `compute`'s own errors.
        """
        given = request.headers[HEADER]
        if not (0 < len(given) <= _LONGEST and given.isascii()):
            raise Malformed(f"Idempotency-Key should be 1 to {_LONGEST} ASCII characters.", field="idempotency-key")
        name, wanted = (request.key.id, given), _fingerprint(request, await request.body())
        while (entry := self._known(name)) is not None:
            if entry.fingerprint != wanted:
                raise Unprocessable("This Idempotency-Key stands for another request: send a new one with this body.",
                                    field="idempotency-key")  # fmt: skip
            await entry.done.wait()
            if entry.answer is not None:
                return _again(entry.answer)
        return await self._first(name, _Entry(wanted), request, compute)

    async def _first(
        self, name: tuple[str, bytes], entry: _Entry, request: Request, compute: Compute
    ) -> Answer | StreamedAnswer:
        self._entries[name] = entry
        self._bytes += entry.bytes
        try:
            answered = await compute(request)
            if isinstance(answered, Answer):
                self._bytes -= entry.bytes
                entry.answer = answered
                self._bytes += entry.bytes
            return answered
        finally:  # without an answer the next who waits computes
            entry.done.set()
            if entry.answer is None:
                self._forget(name)
            self._shrink()

    def _known(self, name: tuple[str, bytes]) -> _Entry | None:
        entry = self._entries.get(name)
        if entry is not None and entry.answer is not None and monotonic() - entry.since > self._kept_s:
            self._forget(name)
            return None
        return entry

    def _forget(self, name: tuple[str, bytes]) -> None:
        self._bytes -= self._entries.pop(name).bytes

    def _shrink(self) -> None:
        """What is still computed has someone who waits: it stays."""
        while self._bytes > self._most_bytes:
            oldest = next((name for name, entry in self._entries.items() if entry.answer is not None), None)
            if oldest is None:
                return
            self._forget(oldest)


def _fingerprint(request: Request, body: bytes) -> bytes:
    """SHA-256 of all that makes it this request; sizes stand before the parts, so that none runs into the next."""
    parts = (request.method.encode(), request.path.encode(), *(request.headers.get(name, b"") for name in _READ_BY))
    hashed = sha256()
    for part in (*parts, body):
        hashed.update(len(part).to_bytes(8, "little"))
        hashed.update(part)
    return hashed.digest()


def _again(answer: Answer) -> Answer:
    reply = answer.reply
    return answer._replace(reply=reply._replace(headers=(*reply.headers, (b"idempotent-replayed", b"true"))))
