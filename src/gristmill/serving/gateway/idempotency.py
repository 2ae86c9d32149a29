"""Idempotency keys: what a client sends twice under one key is computed once and answered alike.

As Stripe does it and draft-ietf-httpapi-idempotency-key-header says. Answers are kept in a folder that all gateways of
the machine share, so that a repeat may reach any of them, and a gateway that was started anew. Streams are not kept.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from gristmill.core.errors import Malformed, StorageFull, Unprocessable
from gristmill.core.files import full_disk_is_said
from gristmill.serving.gateway.kept import Kept
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, Reply, StreamedAnswer

_log = logging.getLogger(__name__)
HEADER = b"idempotency-key"
KEPT_S = 3600.0
MOST_BYTES = 256 * 2**20
_LONGEST = 255
_READ_BY = (b"content-type", b"inference-header-content-length")  # headers that change what a body means
_FIRST_LOOK_S, _LAST_LOOK_S = 0.002, 0.05  # of who waits for another's answer

Compute = Callable[[Request], Awaitable[Answer | StreamedAnswer]]


class _Answered(msgspec.Struct, frozen=True, array_like=True):
    """As it is kept, with what it answers."""

    fingerprint: bytes
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    model: str


_decode = msgspec.msgpack.Decoder(_Answered).decode


class Idempotency:
    """A key of a client stands for one request of one API key."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def answer(self, request: Request, compute: Compute) -> Answer | StreamedAnswer:
        """The kept answer of the same request, else `compute`'s, which is kept unless it is an error or a stream.

        Who comes while the first is computed, by whichever gateway, waits for it. Raises Malformed for a key that is
        none, Unprocessable for one that stands for another request, and `compute`'s own errors.
        """
        given = request.headers[HEADER]
        if not (0 < len(given) <= _LONGEST and given.isascii()):
            raise Malformed(f"Idempotency-Key should be 1 to {_LONGEST} ASCII characters.", field="idempotency-key")
        name, wanted = Kept.name(request.key.id, given), _fingerprint(request, await request.body())
        look_s = _FIRST_LOOK_S
        while not isinstance(held := self._claimed(name, wanted), _Claim):
            if held is not None:
                return held
            await asyncio.sleep(look_s)
            look_s = min(1.5 * look_s, _LAST_LOOK_S)
        try:
            answered = await compute(request)
            if isinstance(answered, Answer):
                self._keep(name, wanted, answered)
            return answered
        finally:  # without an answer the next who waits computes
            held.release()

    def _claimed(self, name: str, wanted: bytes) -> _Claim | Answer | None:
        """The right to compute, the answer of who had it, or None while another has it. Raises Unprocessable."""
        if (kept := self._known(name, wanted)) is not None:
            return kept
        claim = _Claim(self._kept.folder / f"{name}.claim")
        if not claim.taken:
            _same(wanted, claim.told or wanted)
            return None
        try:
            kept = self._known(name, wanted)  # its owner may have ended between the two looks
            if kept is None:
                claim.tell(wanted)
        except BaseException:
            claim.release()
            raise
        if kept is not None:
            claim.release()
        return kept or claim

    def _known(self, name: str, wanted: bytes) -> Answer | None:
        data = self._kept.get(name)
        if data is None:
            return None
        answered = _decode(data)
        _same(wanted, answered.fingerprint)
        headers = (*answered.headers, (b"idempotent-replayed", b"true"))
        return Answer(Reply(answered.body, headers, answered.status), answered.model)

    def _keep(self, name: str, wanted: bytes, answer: Answer) -> None:
        reply = answer.reply
        answered = _Answered(wanted, reply.status, list(reply.headers), bytes(reply.body), answer.model)
        try:
            self._kept.put(name, msgspec.msgpack.encode(answered))
        except StorageFull:
            _log.warning("an answer could not be kept under its Idempotency-Key: the disk is full")


class _Claim:
    """A lock on a file, which the kernel frees when its process dies; the file tells for which request it is held."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.told = b""
        with full_disk_is_said():
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.taken = os.fstat(self._file).st_nlink > 0  # none: its owner ended meanwhile, and it is no one's
        except BlockingIOError:
            self.taken = False
            self.told = os.pread(self._file, 32, 0)
        if not self.taken:
            os.close(self._file)

    def tell(self, fingerprint: bytes) -> None:
        with full_disk_is_said():
            os.pwrite(self._file, fingerprint, 0)

    def release(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def _same(wanted: bytes, known: bytes) -> None:
    if wanted != known:
        raise Unprocessable("This Idempotency-Key stands for another request: send a new one with this body.",
                            field="idempotency-key")  # fmt: skip


def _fingerprint(request: Request, body: bytes) -> bytes:
    """SHA-256 of all that makes it this request; sizes stand before the parts, so that none runs into the next."""
    parts = (request.method.encode(), request.path.encode(), *(request.headers.get(name, b"") for name in _READ_BY))
    hashed = sha256()
    for part in (*parts, body):
        hashed.update(len(part).to_bytes(8, "little"))
        hashed.update(part)
    return hashed.digest()
