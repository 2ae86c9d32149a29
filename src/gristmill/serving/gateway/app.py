"""The ASGI application: a key first, then the dialect of the path, then the answer with its headers."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any

from gristmill.core import plugins
from gristmill.core.errors import GristmillError, Internal, Malformed
from gristmill.core.log import request_id as logged_request_id
from gristmill.serving.gateway import health
from gristmill.serving.gateway.body import ClientLeft, Receive
from gristmill.serving.gateway.dialects.protocol import Dialect
from gristmill.serving.gateway.idempotency import HEADER, Idempotency
from gristmill.serving.gateway.metering import RecordIds
from gristmill.serving.gateway.protocol import RESPOND
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.serving import Serving
from gristmill.serving.gateway.work import Answer, Header, Reply, Streamed, StreamedAnswer

_log = logging.getLogger(__name__)
_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}").fullmatch
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]


def load_dialects() -> dict[str, Dialect]:
    """Every dialect registered in `gristmill.dialects`, by the first segment of its paths, or the first two."""
    dialects = [plugins.load("dialects", name)() for name in plugins.names("dialects")]
    return {segment: dialect for dialect in dialects for segment in dialect.segments}


class App:
    """Deny by default: what is not health needs a key before anything else is looked at."""

    def __init__(self, serving: Serving, dialects: dict[str, Dialect], idempotency: Idempotency) -> None:
        self._serving = serving
        self._dialects = dialects
        self._ids = RecordIds()
        self._idempotency = idempotency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        record_id = self._ids.next()
        own_id = headers.get(b"x-request-id")
        shown_id = own_id if own_id is not None and _SANE_ID(own_id) else record_id.encode()
        if scope["path"] in health.PATHS:
            await _send(scope, send, health.reply(self._serving, scope["path"]), shown_id)
            return
        try:
            answer = await self._answer(scope, receive, headers, record_id, shown_id)
        except (ClientLeft, asyncio.CancelledError):
            return
        if isinstance(answer, StreamedAnswer):
            await _stream(send, answer.reply, shown_id, answer.model)
        else:
            await _send(scope, send, answer.reply, shown_id, answer.model)

    async def _answer(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], record_id: str, shown_id: bytes
    ) -> Answer | StreamedAnswer:
        path: str = scope["path"]
        names = path.split("/", 3)
        dialect = self._dialects.get("/".join(names[1:3])) or self._dialects.get(names[1])
        request: Request | None = None
        try:
            key = self._serving.keys.authenticate(headers)
            request = Request(self._serving, key, scope, headers, receive, record_id)
            if dialect is not None:
                if HEADER in headers:
                    return await self._idempotency.answer(request, dialect.answer)
                return await dialect.answer(request)
            if path == "/metrics":
                text = ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),)
                return Answer(Reply(self._serving.metrics(key), text), "")
            raise request.nothing_here()
        except GristmillError as error:
            limits = request.limit_headers() if request is not None and error.status == 429 else ()
            refusal = _refusal(dialect or self._dialects["v2"], error, path, limits)
            return Answer(refusal, request.model if request else "")
        except ClientLeft:
            raise
        except RecursionError:  # msgspec's, at a depth of about a thousand
            deep = Malformed("The body is nested too deeply to be read.")
            return Answer(_refusal(dialect or self._dialects["v2"], deep, path), "")
        except Exception:
            logged_request_id.set(shown_id.decode())
            _log.exception("a request failed")
            bug = Internal("The gateway failed on this request; its log has the reason under the request id.")
            return Answer(_refusal(dialect or self._dialects["v2"], bug, path), "")


def _refusal(dialect: Dialect, error: GristmillError, path: str, limits: tuple[Header, ...] = ()) -> Reply:
    headers: list[Header] = [(b"content-type", b"application/json"), *limits]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after_s + 0.5))).encode()))
        headers.append((b"retry-after-ms", str(max(1, round(error.retry_after_s * 1e3))).encode()))
    if error.status >= 500 and error.retry_after_s is None:
        headers.append((b"x-should-retry", b"false"))  # OpenAI's clients would: it would only fail once more
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return Reply(dialect.error(error, path), tuple(headers), error.status)


async def _send(scope: Scope, send: Send, reply: Reply, request_id: bytes, model: str = "") -> None:
    respond = scope.get(RESPOND)
    if respond is not None and scope["method"] != "HEAD":
        head = b"%bcontent-length: %d\r\n" % (_lines(reply.headers, model), len(reply.body))
        respond(reply.status, head + b"x-request-id: %b\r\n" % request_id, reply.body)
        return
    headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body)), (b"x-request-id", request_id)]
    if model:
        headers.append((b"x-gristmill-model", model.encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _stream(send: Send, reply: Streamed, request_id: bytes, model: str) -> None:
    """Each part waits until the client's connection has room for it."""
    headers = [*reply.headers, (b"x-request-id", request_id), (b"x-gristmill-model", model.encode())]
    async with aclosing(reply.parts) as parts:
        try:
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except ClientLeft:
            return


@lru_cache(maxsize=1024)
def _lines(headers: tuple[Header, ...], model: str) -> bytes:
    """As they stand in the response; most answers share theirs."""
    named = (*headers, (b"x-gristmill-model", model.encode())) if model else headers
    return b"".join([b"%b: %b\r\n" % header for header in named])
